// Prints the messages of channels and misses none of them, over restarts of the server, lost networks and tokens that expire.
//
//   GATEHOUSE_USER=ann GATEHOUSE_PASSWORD=… node examples/subscribe.mjs news
//   TOKEN=… node examples/subscribe.mjs news presence-lobby
//
// `news@41` begins after sequence 41. GATEHOUSE_URL is where the server is, http://localhost:8000 unless it is set.
import { io } from 'socket.io-client';

const url = process.env.GATEHOUSE_URL ?? 'http://localhost:8000';
const { GATEHOUSE_USER: username, GATEHOUSE_PASSWORD: password, TOKEN } = process.env;

/** By name: the sequence of the last message that was printed, and the epoch that it belongs to. */
const channels = new Map(
  process.argv.slice(2).map((argument) => {
    const [name, after] = argument.split('@');
    return [name, { last: after === undefined ? undefined : Number(after), epoch: undefined }];
  }),
);

const say = (line) => process.stderr.write(`${line}\n`);
const stop = (line) => {
  say(line);
  process.exit(1);
};
if (channels.size === 0 || !(TOKEN || (username && password)))
  stop('usage: GATEHOUSE_USER=… GATEHOUSE_PASSWORD=… node examples/subscribe.mjs <channel>[@<sequence>] …');

// Tokens

let tokens = TOKEN ? { access_token: TOKEN } : await signIn().catch((error) => stop(error.message));

async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(`${url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(`${path}: ${answer.error_code}`), { status: response.status });
  return answer;
}

function signIn() {
  return post('/auth/login', { username, password });
}

/** A fresh access token: by the refresh token, or by signing in when the session is over. */
async function renewTokens() {
  if (!tokens.refresh_token)
    stop('The token has expired; with GATEHOUSE_USER and GATEHOUSE_PASSWORD it would be renewed');
  try {
    tokens = await post('/auth/refresh', { refresh_token: tokens.refresh_token });
  } catch (error) {
    if (error.status !== 401) throw error;
    tokens = await signIn();
  }
}

/** Renews the tokens and then does the rest; what the network or the server prevents is tried again. */
async function withFreshTokens(next) {
  try {
    await renewTokens();
    await next();
  } catch (error) {
    if (error.status === 401 || error.status === 403) stop(error.message);
    say(`${error.message}; trying again`);
    again = setTimeout(() => void withFreshTokens(next), 5_000);
  }
}

// The connection

const socket = io(`${url}/broadcasting`, { auth: (give) => give({ token: tokens.access_token }) });
/** What is to be done later about the connection; a new one does not need it. */
let again;

socket.on('connect', () => {
  clearTimeout(again);
  for (const name of channels.keys()) subscribe(name);
});

socket.on('connected', ({ expires_at }) => renewBefore(expires_at));

function renewBefore(expiresAt) {
  clearTimeout(again);
  // At three quarters of what is left, but early enough for a second attempt.
  const left = Date.parse(expiresAt) - Date.now();
  again = setTimeout(() => void withFreshTokens(authenticate), Math.max(left * 0.75, 0));
}

async function authenticate() {
  // If the connection has been lost meanwhile, the next one shows the new token by itself.
  if (!socket.connected) return;
  const { ok, expires_at, error } = await socket.timeout(10_000).emitWithAck('authenticate', {
    token: tokens.access_token,
  });
  if (!ok) throw new Error(`authenticate: ${error.error_code}`);
  renewBefore(expires_at);
}

socket.on('connect_error', (error) => {
  say(`not connected: ${error.message}`);
  // Without `data` nobody was there to refuse: the library tries again. After a refusal it does not.
  if (!error.data) return;
  clearTimeout(again);
  if (error.data.code === 401) void withFreshTokens(() => socket.connect());
  else again = setTimeout(() => socket.connect(), 5_000);
});

socket.on('disconnect', (reason) => say(`disconnected: ${reason}`));

socket.on('session:ended', ({ reason }) => {
  say(`the connection ends: ${reason}`);
  clearTimeout(again);
  // After `slow_reader` and `subscription_failed` the library connects again by itself, as after any lost connection.
  if (reason === 'token_expired' || reason === 'role_changed') void withFreshTokens(() => socket.connect());
  else if (reason === 'rate_limited') again = setTimeout(() => socket.connect(), 10_000);
  else if (['logged_out', 'account_disabled', 'account_deleted'].includes(reason))
    stop('there is nothing left to read');
});

// Channels

/** The messages follow the answer, so that what it says is known before the first of them. */
function subscribe(name) {
  const channel = channels.get(name);
  socket.emit('subscribe', { channel: name, after: channel.last, epoch: channel.epoch }, (answer) => {
    if (!answer.ok) return refused(name, answer.error);
    if (!answer.recovered) {
      say(`${name}: some messages are not kept any more; it goes on with ${answer.first_sequence}`);
      channel.last = answer.first_sequence - 1;
    }
    channel.epoch = answer.epoch;
    channel.last ??= answer.sequence;
    say(`${name}: reading after ${channel.last}`);
  });
}

function refused(name, { code, error_code }) {
  say(`${name}: ${error_code}`);
  // It may be let in later, as when the database is back: a new connection subscribes again.
  if (code === 429 || code >= 500) return setTimeout(() => socket.io.engine.close(), 1_000);
  leave(name);
}

function leave(name) {
  channels.delete(name);
  if (channels.size === 0) stop('there is nothing left to read');
}

socket.on('message', ({ channel: name, sequence, event, data }) => {
  const channel = channels.get(name);
  // A message that is not durable has no place in the channel.
  if (sequence !== null) {
    if (sequence <= channel.last) return;
    channel.last = sequence;
  }
  process.stdout.write(`${name} ${sequence ?? '-'} ${event} ${JSON.stringify(data)}\n`);
});

socket.on('presence:joined', ({ channel, user }) => say(`${channel}: ${user.username} is there`));
socket.on('presence:left', ({ channel, user }) => say(`${channel}: ${user.username} has gone`));
socket.on('unsubscribed', ({ channel, reason }) => {
  say(`${channel}: ${reason}`);
  leave(channel);
});
