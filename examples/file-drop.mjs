// A file drop for the command line: puts files on a Gatehouse server and prints links to them.
//
//   GATEHOUSE_API_KEY=… node examples/file-drop.mjs put report.pdf
//
// The key needs the scopes uploads:read and uploads:write. GATEHOUSE_URL names the server, unless it is http://localhost:8000.
import { createWriteStream, openAsBlob } from 'node:fs';
import { link, rename, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { Gatehouse } from '@gatehouse/client';

const USAGE = `usage: file-drop.mjs put <file> [--description <text>]   uploads a file and prints a link, good for a day
       file-drop.mjs list                                 shows what is there
       file-drop.mjs get <id> [--output <file>]           downloads a file
       file-drop.mjs rm <id>...                           deletes files`;
const DAY_SECONDS = 24 * 60 * 60;

const stop = new AbortController();
const { signal } = stop;
// Not once(): without a listener left, a package of tus-js-client ends the process before the server has been told.
process.on('SIGINT', () => stop.abort(new Error('Interrupted')));

const commands = { put, list, get, rm: remove };

async function put(api, [path], { description }) {
  const file = await openAsBlob(path);
  const filename = basename(path);
  const { id } = await api.uploads.create(file, { filename, description, signal, onProgress: progressOf(filename) });
  const { url } = await api.uploads.createSignedUrl(id, { expires_in: DAY_SECONDS });
  console.log(url);
}

async function list(api) {
  for await (const { id, upload_date, file_size, filename } of api.uploads.iterate())
    console.log(`${id}  ${upload_date.slice(0, 10)}  ${String(file_size).padStart(12)}  ${filename}`);
}

async function get(api, [id], { output }) {
  const { body, filename } = await api.uploads.download(id, { signal });
  const path = output ?? filename ?? id;
  // What breaks off leaves no half of a file under its name, and what is there already is not written over.
  const part = `${path}.part`;
  try {
    await pipeline(body, createWriteStream(part));
    await (output ? rename(part, path) : link(part, path));
    console.log(path);
  } finally {
    await rm(part, { force: true });
  }
}

async function remove(api, ids) {
  const { failed } = await api.uploads.bulkDelete(ids);
  for (const { id, error_code } of failed) console.error(`${id}: ${error_code}`);
  if (failed.length > 0) process.exitCode = 1;
}

/** Shows how far it is when somebody is looking. */
function progressOf(name) {
  if (!process.stderr.isTTY) return undefined;
  return ({ sent, total }) => {
    const percent = total === 0 ? 100 : Math.floor((100 * sent) / total);
    process.stderr.write(`\r${name} ${percent} %${sent === total ? '\n' : ''}`);
  };
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { description: { type: 'string' }, output: { type: 'string' } },
  });
  const [name, ...args] = positionals;
  const { GATEHOUSE_URL: baseURL = 'http://localhost:8000', GATEHOUSE_API_KEY: apiKey } = process.env;
  if (!apiKey) throw new Error('GATEHOUSE_API_KEY is not set');
  if (!Object.hasOwn(commands, name ?? '') || (name === 'list') !== (args.length === 0)) throw new Error(USAGE);
  await commands[name](new Gatehouse({ baseURL, apiKey }), args, values);
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
