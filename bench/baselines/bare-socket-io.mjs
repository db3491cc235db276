// What the machine allows: Socket.IO with the product's options and its rooms, and neither tokens nor a database.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const { HOST, PORT } = process.env;
const NAMESPACE = '/broadcasting';
const roomOf = (channel) => `channel:${channel}`;

const server = createServer(async (request, response) => {
  if (request.method !== 'POST') return response.writeHead(200).end('{"status":"ok"}');
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const message = JSON.parse(Buffer.concat(chunks).toString());
  io.of(NAMESPACE).to(roomOf(message.channel)).emit('message', message);
  response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(message));
});
const io = new Server(server, {
  serveClient: false,
  perMessageDeflate: false,
  allowEIO3: false,
  transports: ['polling', 'websocket'],
  connectTimeout: 10_000,
  pingInterval: 25_000,
  pingTimeout: 20_000,
  maxHttpBufferSize: 256 * 1024,
});
io.of(NAMESPACE).on('connection', (socket) => {
  socket.on('subscribe', ({ channel }, acknowledge) => {
    void socket.join(roomOf(channel));
    acknowledge({ ok: true, channel, sequence: 0 });
  });
});

process.once('SIGTERM', () => process.exit(0));
server.listen(Number(PORT), HOST);
