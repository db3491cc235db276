import type { IncomingHttpHeaders } from 'node:http';
import fresh from 'fresh';
import type { ByteRange } from '../storage/blob-storage.js';

export interface DownloadRequest {
  method: string;
  headers: IncomingHttpHeaders;
}

export interface Representation {
  size: number;
  /** A strong entity-tag with its quotes. */
  etag: string;
  lastModified: Date;
}

export interface DownloadPlan {
  status: 200 | 206 | 304 | 412 | 416;
  headers: Record<string, string | number>;
  /** The part to send; `null` when it is all or nothing. */
  range: ByteRange | null;
  /** Whether bytes of the file follow; an error's body is not meant. */
  hasBody: boolean;
}

/** What a GET or HEAD of a file is answered with; preconditions in the order of RFC 9110, section 13.2.2. */
export function planDownload({ method, headers }: DownloadRequest, file: Representation): DownloadPlan {
  const hasBody = method !== 'HEAD';
  const validators = { etag: file.etag, 'last-modified': file.lastModified.toUTCString() };
  const answer = (status: DownloadPlan['status'], more: DownloadPlan['headers']): DownloadPlan => ({
    status,
    headers: more,
    range: null,
    hasBody: hasBody && status === 200,
  });

  if (!meetsPreconditions(headers, file)) return answer(412, {});
  if (isFresh(headers, validators)) return answer(304, validators);

  const whole = { ...validators, 'accept-ranges': 'bytes', 'content-length': file.size };
  // RFC 9110, 14.2: a Range on any method but GET is ignored.
  const isPartWanted =
    method === 'GET' && headers.range !== undefined && meetsIfRange(headers['if-range']?.toString(), file);
  const range = isPartWanted ? parseRange(headers.range as string, file.size) : null;
  if (range === null) return answer(200, whole);
  if (range === 'unsatisfiable')
    return answer(416, { 'accept-ranges': 'bytes', 'content-range': `bytes */${file.size}` });
  const { start, end } = range;
  const part = { 'content-length': end - start + 1, 'content-range': `bytes ${start}-${end}/${file.size}` };
  return { status: 206, headers: { ...whole, ...part }, range, hasBody };
}

/** If-Match (13.1.1), and only without it If-Unmodified-Since (13.1.4). */
function meetsPreconditions(headers: IncomingHttpHeaders, file: Representation): boolean {
  const match = headers['if-match'];
  if (match !== undefined) {
    // Strong comparison: our tag is strong, so that equal text is all it takes, and a weak tag is never equal.
    return match.trim() === '*' || match.split(',').some((tag) => tag.trim() === file.etag);
  }
  const since = parseHttpDate(headers['if-unmodified-since']);
  return since === null || wholeSeconds(file.lastModified) <= since;
}

/** If-None-Match (13.1.2), and only without it If-Modified-Since (13.1.3); not when a reload asks for new bytes (`no-cache`). */
function isFresh(headers: IncomingHttpHeaders, validators: Record<string, string>): boolean {
  const since = parseHttpDate(headers['if-modified-since']);
  const conditions = {
    'if-none-match': headers['if-none-match'],
    'if-modified-since': since === null ? undefined : new Date(since).toUTCString(),
    'cache-control': headers['cache-control'],
  };
  return fresh(conditions, validators);
}

/** Without the field nothing stands against a range. A tag compares strongly, a date exactly (13.1.5). */
function meetsIfRange(value: string | undefined, file: Representation): boolean {
  if (value === undefined) return true;
  const validator = value.trim();
  if (/^(W\/)?"/.test(validator)) return validator === file.etag;
  return parseHttpDate(validator) === wholeSeconds(file.lastModified);
}

/**
 * The one range of bytes that is asked for (14.1.2). `null`: the field is ignored and the whole file sent, which 14.2 allows for several
 * ranges and malformed ones and demands for other units. So is a range of an empty file: clients that send `bytes=0-` with every request
 * mean all of it, and no Content-Range could tell of no bytes.
 */
function parseRange(field: string, size: number): ByteRange | 'unsatisfiable' | null {
  const [, first, last] = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(field) ?? [];
  if (size === 0 || (!first && !last)) return null;
  if (!first) {
    // A suffix longer than the file is all of it; one of no bytes cannot be satisfied.
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const [start, end] = [Number(first), last ? Number(last) : Infinity];
  if (end < start) return null;
  return start < size ? { start, end: Math.min(end, size - 1) } : 'unsatisfiable';
}

/** The three forms of a date that a recipient must read (5.6.7), the last one without a zone. */
const HTTP_DATE = /^[A-Z][a-z]{2,8},? .*\d\d:\d\d:\d\d (GMT|\d{4})$/;

/** Milliseconds, or `null` when it is no HTTP date: such a condition is ignored. */
function parseHttpDate(value: string | undefined): number | null {
  if (value === undefined || !HTTP_DATE.test(value)) return null;
  const time = Date.parse(value.endsWith('GMT') ? value : `${value} GMT`);
  return Number.isNaN(time) ? null : time;
}

/** HTTP dates have no fractions. */
const wholeSeconds = (date: Date): number => Math.floor(date.getTime() / 1000) * 1000;
