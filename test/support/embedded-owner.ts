/** A process that owns an embedded server: `embedded-owner <directory>`, answers in lines of JSON, stops at the end of its input. */
import { EmbeddedPostgresError, startEmbeddedPostgres } from '../../src/database/embedded/embedded-postgres.js';

const logged: string[] = [];
const tell = (message: object): boolean => process.stdout.write(`${JSON.stringify({ ...message, logged })}\n`);

try {
  const server = await startEmbeddedPostgres({ directory: process.argv[2], log: (line) => logged.push(line) });
  server.onExit((code) => tell({ event: 'server-exit', code }));
  const { connection, isFresh, serverPid } = server;
  tell({ event: 'ready', connection, isFresh, serverPid });
  process.stdin.resume().once('end', () => {
    void Promise.all([server.stop(), server.stop()]).then(() => tell({ event: 'stopped' }));
  });
} catch (error) {
  tell({ event: 'refused', isOurs: error instanceof EmbeddedPostgresError, message: String((error as Error).message) });
  process.exitCode = 1;
}
