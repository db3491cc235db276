/**
 * `outage-wire-process <port>`: a line to a port of this machine, in a process of its own. It tells its own port, and takes `swallow` and
 * `restore` as lines; it ends with its input. What was connected while it swallowed, or before, stays dead: nobody is told.
 */
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

const target = Number(process.argv[2]);
const pairs = new Set();
let isSwallowing = false;

const server = createServer((client) => {
  client.on('error', () => undefined);
  if (isSwallowing) return void client.resume();
  const upstream = connect(target, '127.0.0.1');
  const pair = [client, upstream];
  pairs.add(pair);
  upstream.on('error', () => client.destroy());
  for (const socket of pair)
    socket.on('close', () => {
      if (!pairs.delete(pair)) return;
      for (const other of pair) other.destroy();
    });
  client.pipe(upstream).pipe(client);
});

server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));

createInterface(process.stdin)
  .on('line', (line) => {
    isSwallowing = line === 'swallow';
    if (isSwallowing) {
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream);
        upstream.unpipe(client);
        client.resume();
        upstream.removeAllListeners('close').destroy();
      }
      pairs.clear();
    }
    process.stdout.write(`${line}\n`);
  })
  .on('close', () => process.exit(0));
