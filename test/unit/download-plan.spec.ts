import type { IncomingHttpHeaders } from 'node:http';
import { planDownload } from '../../src/uploads/downloads/download-plan.js';

const ETAG = '"sha256:abc"';
const MODIFIED = 'Thu, 01 Jan 2026 12:00:00 GMT';
const EARLIER = 'Thu, 01 Jan 2026 11:59:59 GMT';
const LATER = 'Thu, 01 Jan 2026 12:00:01 GMT';
const SIZE = 10;

const plan = (headers: IncomingHttpHeaders, { method = 'GET', size = SIZE } = {}) =>
  planDownload({ method, headers }, { size, etag: ETAG, lastModified: new Date('2026-01-01T12:00:00.789Z') });

const statusOf = (headers: IncomingHttpHeaders, method = 'GET') => plan(headers, { method }).status;

const WHOLE = {
  status: 200,
  headers: { etag: ETAG, 'last-modified': MODIFIED, 'accept-ranges': 'bytes', 'content-length': SIZE },
  range: null,
  hasBody: true,
};

describe('planDownload', () => {
  it('sends the whole file', () => {
    expect(plan({})).toEqual(WHOLE);
  });

  it('answers a HEAD like a GET, without a body', () => {
    expect(plan({}, { method: 'HEAD' })).toEqual({ ...WHOLE, hasBody: false });
  });

  describe('If-Match and If-Unmodified-Since', () => {
    it.each<[IncomingHttpHeaders, number]>([
      [{ 'if-match': ETAG }, 200],
      [{ 'if-match': '*' }, 200],
      [{ 'if-match': `"other", ${ETAG}` }, 200],
      [{ 'if-match': `"other",\t${ETAG} , "third"` }, 200],
      [{ 'if-match': '"other"' }, 412],
      [{ 'if-match': '' }, 412],
      [{ 'if-match': `W/${ETAG}` }, 412],
      [{ 'if-match': 'sha256:abc' }, 412],
      [{ 'if-unmodified-since': MODIFIED }, 200],
      [{ 'if-unmodified-since': LATER }, 200],
      [{ 'if-unmodified-since': EARLIER }, 412],
      [{ 'if-unmodified-since': 'Thursday, 01-Jan-26 11:59:59 GMT' }, 412],
      [{ 'if-unmodified-since': 'Thu Jan  1 11:59:59 2026' }, 412],
      [{ 'if-unmodified-since': 'Thu Jan  1 12:00:00 2026' }, 200],
      [{ 'if-unmodified-since': 'yesterday' }, 200],
      [{ 'if-unmodified-since': '1' }, 200],
      [{ 'if-unmodified-since': '2020-01-01T00:00:00Z' }, 200],
      [{ 'if-match': ETAG, 'if-unmodified-since': EARLIER }, 200],
    ])('%j → %i', (headers, status) => {
      expect(statusOf(headers)).toBe(status);
      expect(statusOf(headers, 'HEAD')).toBe(status);
    });

    it('a condition that fails has no headers of the file and no body of it', () => {
      expect(plan({ 'if-match': '"other"' })).toEqual({ status: 412, headers: {}, range: null, hasBody: false });
    });

    it('come before everything else', () => {
      expect(statusOf({ 'if-match': '"other"', 'if-none-match': ETAG, range: 'bytes=99-' })).toBe(412);
    });
  });

  describe('If-None-Match and If-Modified-Since', () => {
    it.each<[IncomingHttpHeaders, number]>([
      [{ 'if-none-match': ETAG }, 304],
      [{ 'if-none-match': `W/${ETAG}` }, 304],
      [{ 'if-none-match': `"other", ${ETAG}` }, 304],
      [{ 'if-none-match': '*' }, 304],
      [{ 'if-none-match': '"other"' }, 200],
      [{ 'if-modified-since': MODIFIED }, 304],
      [{ 'if-modified-since': LATER }, 304],
      [{ 'if-modified-since': 'Thu Jan  1 12:00:00 2026' }, 304],
      [{ 'if-modified-since': EARLIER }, 200],
      [{ 'if-modified-since': '9999' }, 200],
      [{ 'if-none-match': '"other"', 'if-modified-since': LATER }, 200],
      [{ 'if-none-match': ETAG, 'if-modified-since': EARLIER }, 304],
      [{ 'if-none-match': ETAG, 'cache-control': 'no-cache' }, 200],
      [{ 'if-none-match': ETAG, 'cache-control': 'max-age=0' }, 304],
    ])('%j → %i', (headers, status) => {
      expect(statusOf(headers)).toBe(status);
      expect(statusOf(headers, 'HEAD')).toBe(status);
    });

    it('a 304 has the validators, and neither a body nor the length of one', () => {
      const headers = { etag: ETAG, 'last-modified': MODIFIED };
      expect(plan({ 'if-none-match': ETAG })).toEqual({ status: 304, headers, range: null, hasBody: false });
    });

    it('come before the range', () => {
      expect(statusOf({ 'if-none-match': ETAG, range: 'bytes=0-1' })).toBe(304);
      expect(statusOf({ 'if-none-match': ETAG, range: 'bytes=99-' })).toBe(304);
    });
  });

  describe('Range', () => {
    it.each([
      ['bytes=0-0', 0, 0],
      ['bytes=0-', 0, 9],
      ['bytes=2-5', 2, 5],
      ['bytes=9-', 9, 9],
      ['bytes=5-999', 5, 9],
      ['bytes=0-99999999999999999999999', 0, 9],
      ['bytes=-3', 7, 9],
      ['bytes=-10', 0, 9],
      ['bytes=-11', 0, 9],
      ['Bytes=2-5', 2, 5],
      ['bytes= 2-5 ', 2, 5],
    ])('%s → 206', (range, start, end) => {
      expect(plan({ range })).toEqual({
        ...WHOLE,
        status: 206,
        headers: { ...WHOLE.headers, 'content-length': end - start + 1, 'content-range': `bytes ${start}-${end}/10` },
        range: { start, end },
      });
    });

    it.each(['bytes=10-', 'bytes=10-20', 'bytes=99999999999999999999-', 'bytes=-0'])('%s → 416', (range) => {
      const headers = { 'accept-ranges': 'bytes', 'content-range': 'bytes */10' };
      expect(plan({ range })).toEqual({ status: 416, headers, range: null, hasBody: false });
    });

    it.each([
      ['several ranges', 'bytes=0-1,3-4'],
      ['several ranges, out of the file', 'bytes=20-21,30-31'],
      ['another unit', 'items=0-1'],
      ['another unit, out of the file', 'items=20-'],
      ['an end before the start', 'bytes=5-2'],
      ['no numbers', 'bytes=-'],
      ['letters', 'bytes=a-b'],
      ['a negative number', 'bytes=--1'],
      ['no unit', '0-1'],
      ['no range', 'bytes'],
      ['nothing', ''],
    ])('%s: the whole file', (_title, range) => {
      expect(plan({ range })).toEqual(WHOLE);
    });

    it('a HEAD has no ranges', () => {
      expect(plan({ range: 'bytes=0-1' }, { method: 'HEAD' })).toEqual({ ...WHOLE, hasBody: false });
      expect(statusOf({ range: 'bytes=99-' }, 'HEAD')).toBe(200);
    });

    it.each(['bytes=0-', 'bytes=0-0', 'bytes=5-', 'bytes=-1', 'bytes=-0'])(
      'all of an empty file is sent for %s',
      (range) => {
        const headers = { ...WHOLE.headers, 'content-length': 0 };
        expect(plan({ range }, { size: 0 })).toEqual({ ...WHOLE, headers });
      },
    );
  });

  describe('If-Range', () => {
    it.each([
      [ETAG, 206],
      [` ${ETAG} `, 206],
      [MODIFIED, 206],
      ['"other"', 200],
      [`W/${ETAG}`, 200],
      ['sha256:abc', 200],
      [EARLIER, 200],
      [LATER, 200],
      ['', 200],
    ])('%j → %i', (validator, status) => {
      expect(statusOf({ range: 'bytes=0-1', 'if-range': validator })).toBe(status);
    });

    it('means nothing without a range', () => {
      expect(plan({ 'if-range': '"other"' })).toEqual(WHOLE);
    });

    it('that does not hold makes an unsatisfiable range the whole file', () => {
      expect(statusOf({ range: 'bytes=99-', 'if-range': '"other"' })).toBe(200);
      expect(statusOf({ range: 'bytes=99-', 'if-range': ETAG })).toBe(416);
    });
  });
});
