// Large bodies, sent and received: they come from memory and go nowhere, so that only the server reads and writes files.
import { randomFillSync } from 'node:crypto';
import { request } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { text } from 'node:stream/consumers';
import { form } from './form.mjs';
import { takeJob } from './job.mjs';

const MEGABYTE = 1_000_000;
/** Of the one random block that all content is cut from, and of what is written at once. */
const BLOCK_BYTES = 16 * MEGABYTE;
const WRITE_BYTES = 256 * 1024;
/** What a receiver takes from the kernel at once. */
const READ_BYTES = 1024 * 1024;

takeJob({ send, receive });

/** `count` uploads of so many megabytes, all at once or so many of them. */
async function send({ url, token, megabytes, count, atOnce = count }) {
  const block = randomFillSync(Buffer.allocUnsafe(BLOCK_BYTES));
  return timed(count, atOnce, () => upload(url, token, megabytes * MEGABYTE, block));
}

async function receive({ url, token, bytes, count }) {
  return timed(count, count, () => download(url, token, bytes));
}

async function timed(count, atOnce, transfer) {
  const begin = performance.now();
  const answers = [];
  let begun = 0;
  const lane = async () => {
    while (begun++ < count) answers.push(await transfer());
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return { seconds: (performance.now() - begin) / 1000, answers };
}

/** Resolves with the answer's body. */
async function upload(url, token, bytes, block) {
  const { head, tail, contentType } = form('large.bin');
  const headers = {
    'content-type': contentType,
    'content-length': head.length + bytes + tail.length,
    ...(token && { authorization: `Bearer ${token}` }),
  };
  const outgoing = request(url, { method: 'POST', agent: false, headers });
  const answered = new Promise((resolve, reject) => outgoing.once('response', resolve).once('error', reject));
  const [response] = await Promise.all([
    answered,
    pipeline(Readable.from([head, ...cut(block, bytes), tail], { objectMode: true }), outgoing),
  ]);
  const body = await text(response);
  if (response.statusCode !== 201) throw new Error(`POST ${url} answered ${response.statusCode}: ${body}`);
  return JSON.parse(body);
}

function* cut(block, bytes) {
  for (let sent = 0; sent < bytes;) {
    const from = sent % block.length;
    const chunk = block.subarray(from, from + Math.min(WRITE_BYTES, bytes - sent));
    sent += chunk.length;
    yield chunk;
  }
}

/** Throws away what comes, in one buffer; insists on a 200 and on every byte. */
function download(url, token, bytes) {
  const { host, hostname, port, pathname } = new URL(url);
  return new Promise((resolve, reject) => {
    let head = null;
    let received = 0;
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback(size, buffer) {
        head ??= buffer.toString('latin1', 0, size).split('\r\n\r\n', 1)[0];
        received += size;
        return true;
      },
    };
    const authorization = token ? `Authorization: Bearer ${token}\r\n` : '';
    connect({ host: hostname, port, onread })
      .once('error', reject)
      .once('close', () => {
        const whole = head && head.length + '\r\n\r\n'.length + bytes;
        if (head?.startsWith('HTTP/1.1 200') && received === whole) resolve();
        else reject(new Error(`GET ${url} answered ${received} of ${whole} bytes: ${head}`));
      })
      .write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n${authorization}Connection: close\r\n\r\n`);
  });
}
