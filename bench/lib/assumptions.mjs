/** What the bench cannot know. */
export const ASSUMPTIONS = {
  activeShare: { value: 0.2, about: 'share of users who come on a day' },
  requests: { value: 200, about: 'requests of an active user a day, all as dear as `who-am-i`' },
  refreshes: { value: 6, about: 'token refreshes of an active user a day (`JWT_ACCESS_TTL`: 900 s)' },
  refreshRequests: {
    value: 5,
    about: 'processor time of a token refresh, in requests as dear as `who-am-i` (it writes; not measured)',
  },
  refreshLogBytes: { value: 1000, about: 'bytes of WAL of a token refresh (not measured)' },
  logins: { value: 0.3, about: 'sign-ins of an active user a day (sessions last a week)' },
  messages: { value: 5, about: 'durable messages of an active user a day' },
  files: { value: 0.5, about: 'small files of an active user a day' },
  sessions: { value: 1.5, about: 'live sessions a user' },
  auditEntries: { value: 0.5, about: 'entries of the audit log of an active user a day' },
  totalFiles: { value: 20, about: 'files a user keeps' },
  peak: { value: 5, about: 'busiest second, in means of the day' },
  busy: { value: 0.6, about: 'share of a core that is planned for; the rest is for bursts' },
  retention: { value: 7, about: 'days that messages are kept (`BROADCAST_RETENTION_SECONDS`)' },
  logFactor: { value: 3, about: 'bytes of WAL a byte of row and index, where it was not measured' },
  socketsAProcess: { value: 25_000, about: 'sockets that one process is given while all hosts are up' },
  kernelKilobytes: { value: 8, about: "kernel's memory of a connection that rests, at either end" },
  processesAHost: { value: 4, about: 'processes (workers) of a host with as many cores' },
  ownConnections: {
    value: 5,
    about: 'database connections of a process beside its pool (`src/database/open-database.ts`)',
  },
  spareConnections: { value: 20, about: 'database connections for commands and the operator' },
  poolSize: { value: 10, about: '`DATABASE_POOL_SIZE`' },
  systemMessages: { value: 1, about: 'durable messages a second to all, of 1 KB' },
  returnSeconds: { value: 5, about: "seconds over which the stock client's back-off spreads those who come back" },
};

/** Their values by name. */
export const assumed = () => Object.fromEntries(Object.entries(ASSUMPTIONS).map(([name, { value }]) => [name, value]));
