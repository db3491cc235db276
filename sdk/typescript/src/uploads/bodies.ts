import type { Call } from '../http/transport.js';
import type { Source } from './source.js';
import { counted, Intake, streamOf } from './streams.js';
import type { UploadWatch } from './watch.js';
import { hasXhr, xhrFetch } from './xhr.js';

type Body = Pick<Call, 'body' | 'headers' | 'fetch'>;

/** Browsers send no streams over HTTP/1.1. */
const sendsStreams = () => !hasXhr() && !('ServiceWorkerGlobalScope' in globalThis);

/** A part of a file. */
export function blobBody(blob: Blob, report: (sent: number) => void, watch: UploadWatch): Body {
  if (!watch.isWatched) return { body: blob };
  if (hasXhr()) return { body: blob, fetch: xhrFetch(report) };
  if (!sendsStreams()) return { body: blob };
  return {
    body: () => {
      const intake = new Intake(blob.stream());
      return streamOf(counted(intake, blob.size, { report, fail: (error) => watch.fail(error) }), intake);
    },
    headers: { 'Content-Length': String(blob.size) },
  };
}

/** A file and its description as multipart/form-data. */
export async function formBody(source: Source, description: string | undefined, watch: UploadWatch): Promise<Body> {
  if (sendsStreams() && (watch.isWatched || source.content instanceof ReadableStream))
    return streamedForm(source, description, watch);
  const form = new FormData();
  if (description !== undefined) form.append('description', description);
  const { filename, contentType: type, content, size } = source;
  const blob = content instanceof Blob ? content : await gathered(content, size, watch);
  form.append('file', blob.type === type ? blob : blob.slice(0, size, type), filename);
  if (!watch.isWatched || !hasXhr()) return { body: form };
  // What there is of the form beside the file is not counted.
  return { body: form, fetch: xhrFetch((sent, total) => watch.report(sent - (total - size))) };
}

/** Browsers keep a large Blob on disk. */
function gathered(content: ReadableStream<Uint8Array>, size: number, watch: UploadWatch): Promise<Blob> {
  const intake = new Intake(content);
  const checked = counted(intake, size, { report: () => undefined, fail: (error) => watch.fail(error) });
  return new Response(streamOf(checked, intake)).blob();
}

function streamedForm(source: Source, description: string | undefined, watch: UploadWatch): Body {
  const { content, size } = source;
  const boundary = `gatehouse-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`;
  const [head, tail] = envelope(boundary, source, description).map((text) => new TextEncoder().encode(text));
  const open = (stream: ReadableStream<Uint8Array>) => {
    const intake = new Intake(stream);
    const chunks = async function* () {
      yield head;
      yield* counted(intake, size, watch);
      yield tail;
    };
    return streamOf(chunks(), intake);
  };
  return {
    // A Blob can be read again, should the token be refused.
    body: content instanceof Blob ? () => open(content.stream()) : open(content),
    headers: {
      'Content-Type': `multipart/form-data; boundary=${boundary}`,
      'Content-Length': String(head.length + size + tail.length),
    },
  };
}

/** As browsers write it (WHATWG HTML, multipart/form-data encoding). */
function envelope(boundary: string, { filename, contentType }: Source, description: string | undefined): string[] {
  const ESCAPES: Record<string, string> = { '"': '%22', '\r': '%0D', '\n': '%0A' };
  const name = filename.replace(/["\r\n]/g, (character) => ESCAPES[character]);
  const part = (disposition: string) => `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n`;
  const described = description === undefined ? '' : `${part('name="description"')}\r\n${newlines(description)}\r\n`;
  const type = `Content-Type: ${contentType || 'application/octet-stream'}\r\n\r\n`;
  return [`${described}${part(`name="file"; filename="${name}"`)}${type}`, `\r\n--${boundary}--\r\n`];
}

const newlines = (text: string): string => text.replace(/\r\n|\r|\n/g, '\r\n');
