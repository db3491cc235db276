// One subscriber: WebSocket, Engine.IO and Socket.IO as far as that takes, on a plain TCP connection. Thousands of the stock client in one
// process would need longer to receive a message than a server needs to send it, and hide what is measured.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';

const NAMESPACE = '/broadcasting';
const FINAL_TEXT = 0x81;
const OPCODE = 0x0f;
const TEXT = 0x1;
const MASKED = 0x80;
const LENGTH_IN_2_BYTES = 126;
const LENGTH_IN_8_BYTES = 127;
const HEAD_END = '\r\n\r\n';

const OPEN = '0';
const PING = '2';
const PONG = frame('3');
const CONNECTED = `40${NAMESPACE},`;
const REFUSED = `44${NAMESPACE},`;
const ANSWERED = `43${NAMESPACE},0`;
const MESSAGE = `42${NAMESPACE},["message",`;

/** Of all connections: what is read is looked at before anything else is read. */
const onread = { buffer: Buffer.allocUnsafe(64 * 1024) };

/** `handler` is told `subscribed(answer)`, `message(…)` and `closed(reason)`; what the message is only if it `wantsText`. */
export class SocketClient {
  #socket;
  #handler;
  #isUpgraded = false;
  #isClosed = false;
  /** The beginning of a frame whose end has not come yet. */
  #rest = null;

  constructor({ url, token, subscription }, handler) {
    const { hostname, port } = new URL(url);
    this.token = token;
    this.subscription = subscription;
    this.#handler = handler;
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: { ...onread, callback: (size, buffer) => this.#receive(buffer.subarray(0, size)) },
    });
    this.#socket.once('connect', () => this.#socket.write(upgradeOf(`${hostname}:${port}`)));
    this.#socket.once('error', (error) => this.close(error.code ?? error.message));
    this.#socket.once('close', () => this.close('closed'));
  }

  close(reason) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.destroy();
    this.#handler.closed(reason);
  }

  #receive(chunk) {
    let data = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = null;
    if (!this.#isUpgraded) {
      const end = data.indexOf(HEAD_END);
      if (end < 0) return this.#keep(data);
      if (!data.latin1Slice(0, end).startsWith('HTTP/1.1 101')) return this.close(data.latin1Slice(0, end));
      this.#isUpgraded = true;
      data = data.subarray(end + HEAD_END.length);
    }
    let at = 0;
    while (at + 2 <= data.length) {
      let length = data[at + 1];
      let start = at + 2;
      if (length === LENGTH_IN_2_BYTES || length === LENGTH_IN_8_BYTES) {
        start += length === LENGTH_IN_2_BYTES ? 2 : 8;
        if (start > data.length) break;
        length = length === LENGTH_IN_2_BYTES ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2));
      }
      if (start + length > data.length) break;
      if ((data[at] & OPCODE) === TEXT) this.#take(data, start, start + length);
      else return this.close('closed by a frame');
      if (this.#isClosed) return;
      at = start + length;
    }
    this.#keep(data.subarray(at));
  }

  /** What is read next goes into the same buffer. */
  #keep(data) {
    if (data.length > 0) this.#rest = Buffer.from(data);
  }

  #take(data, start, end) {
    if (data.latin1Slice(start, Math.min(end, start + MESSAGE.length)) === MESSAGE) {
      if (!this.#handler.wantsText) return this.#handler.message();
      return this.#handler.message(JSON.parse(data.utf8Slice(start + MESSAGE.length, end - 1)));
    }
    const text = data.utf8Slice(start, end);
    if (text.startsWith(PING)) this.#socket.write(PONG);
    else if (text.startsWith(OPEN))
      this.#socket.write(frame(`40${NAMESPACE},${JSON.stringify({ token: this.token })}`));
    else if (text.startsWith(CONNECTED))
      this.#socket.write(frame(`42${NAMESPACE},0${JSON.stringify(['subscribe', this.subscription])}`));
    else if (text.startsWith(ANSWERED)) this.#answered(JSON.parse(text.slice(ANSWERED.length))[0], text);
    else if (text.startsWith(REFUSED)) this.close(text);
  }

  #answered(answer, text) {
    if (answer.ok) this.#handler.subscribed(answer);
    else this.close(text);
  }
}

/** Masked by zeros, as a client has to mask and nothing has to be changed. */
function frame(text) {
  const payload = Buffer.from(text);
  const isShort = payload.length < LENGTH_IN_2_BYTES;
  const head = Buffer.alloc(isShort ? 6 : 8);
  head[0] = FINAL_TEXT;
  head[1] = MASKED | (isShort ? payload.length : LENGTH_IN_2_BYTES);
  if (!isShort) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

const upgradeOf = (host) =>
  [
    'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1',
    `Host: ${host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    HEAD_END,
  ]
    .join('\r\n')
    .slice(0, -2);
