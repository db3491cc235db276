/** Statuses of answers that have no body. */
const BODILESS = [204, 205, 304];

/** Whether there is XMLHttpRequest: in pages and in their workers. */
export const hasXhr = (): boolean => typeof XMLHttpRequest !== 'undefined';

/** As fetch, for small answers, and it tells how much of the body has gone, which fetch cannot. */
export function xhrFetch(report: (sent: number, total: number) => void): typeof fetch {
  return (input, { method = 'GET', headers, body = null, signal } = {}) =>
    new Promise<Response>((resolve, reject) => {
      signal?.throwIfAborted();
      const request = new XMLHttpRequest();
      const abort = () => {
        request.abort();
        reject(signal?.reason);
      };
      request.open(method, String(input));
      new Headers(headers).forEach((value, name) => request.setRequestHeader(name, value));
      request.responseType = 'blob';
      request.upload.onprogress = ({ loaded, total }) => report(loaded, total);
      request.onload = () => resolve(responseOf(request));
      request.onerror = () => reject(new TypeError('Failed to fetch'));
      request.onloadend = () => signal?.removeEventListener('abort', abort);
      signal?.addEventListener('abort', abort);
      request.send(body as XMLHttpRequestBodyInit | null);
    });
}

function responseOf(request: XMLHttpRequest): Response {
  const { status, statusText } = request;
  const headers = new Headers();
  for (const line of request.getAllResponseHeaders().trim().split('\r\n')) {
    const at = line.indexOf(':');
    if (at > 0) headers.append(line.slice(0, at), line.slice(at + 1).trim());
  }
  return new Response(BODILESS.includes(status) ? null : (request.response as Blob), { status, statusText, headers });
}
