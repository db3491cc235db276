const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
/** A server that dies with its machine says no goodbye: a connection on which nothing comes for so long is given up. */
const SILENCE_MAX_MS = 3_000;
/** So that there is something to hear when nobody asks. */
const PING_EVERY_MS = 500;

/** Milliseconds before the next attempt to reach Redis; never the same for all processes. */
export const reconnectDelay = (attempts: number): number =>
  Math.min(RETRY_MIN_MS * 2 ** attempts, RETRY_MAX_MS) * (0.75 + Math.random() / 2);

/** For each client. Whoever sends while nothing comes back prolongs the silence: that is the client's to avoid. */
export const redisOptions = (url: string) => ({
  url,
  pingInterval: PING_EVERY_MS,
  socket: {
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MAX_MS,
    reconnectStrategy: reconnectDelay,
  },
});
