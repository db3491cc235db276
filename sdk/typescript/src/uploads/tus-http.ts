import type { HttpRequest, HttpResponse, HttpStack } from 'tus-js-client';
import { GatehouseError } from '../errors.js';
import type { Method, Transport } from '../http/transport.js';
import { blobBody } from './bodies.js';
import { unreadable } from './unreadable.js';
import type { UploadWatch } from './watch.js';

/** Statuses that say that there is no such upload any more; tus-js-client begins a new one then. */
const GONE = [404, 410];

/** The requests of tus-js-client as calls of the client: with its credentials, their renewal, its errors, and its fetch. */
export class TusHttp implements HttpStack {
  /** What the last request came to; tus-js-client keeps only a text of it. */
  error: unknown = null;
  private readonly epoch: number;

  constructor(
    private readonly transport: Transport,
    private readonly endpoint: string,
    private readonly watch: UploadWatch,
  ) {
    this.epoch = transport.session.epoch;
  }

  getName(): string {
    return 'Gatehouse';
  }

  createRequest(method: string, url: string): HttpRequest {
    const headers: Record<string, string> = {};
    const stop = new AbortController();
    let report: (sent: number) => void = () => undefined;
    return {
      getMethod: () => method,
      getURL: () => url,
      setHeader: (name, value) => void (headers[name] = value),
      getHeader: (name) => headers[name],
      setProgressHandler: (handler) => void (report = handler),
      send: (body: Blob | null) => this.send(method as Method, url, headers, { body, report, signal: stop.signal }),
      abort: () => Promise.resolve(stop.abort()),
      getUnderlyingObject: () => undefined,
    };
  }

  private async send(
    method: Method,
    path: string,
    headers: Record<string, string>,
    { body, report, signal }: { body: Blob | null; report: (sent: number) => void; signal: AbortSignal },
  ): Promise<HttpResponse> {
    this.error = null;
    const sent = body ? blobBody(body, report, this.watch) : {};
    try {
      // For somebody who has signed in meanwhile there is no such upload, and a new one would be begun.
      this.transport.session.assertEpoch(this.epoch);
      const response = await this.transport.response({
        ...sent,
        method,
        path,
        headers: { ...headers, ...sent.headers },
        signal: AbortSignal.any([signal, this.watch.signal]),
        isRepeatable: false,
        ...(body && { timeout: 0 }),
      });
      return this.answer(response.status, response.headers);
    } catch (error) {
      this.error = error;
      const fault = unreadable(error);
      if (fault) this.watch.fail(fault);
      if (!(error instanceof GatehouseError) || error.status === 0) throw error;
      // Whatever else a HEAD is answered with, tus-js-client would begin anew.
      if (method === 'HEAD' && !GONE.includes(error.status)) throw error;
      return this.answer(error.status, new Headers());
    }
  }

  private answer(status: number, headers: Headers): HttpResponse {
    return {
      getStatus: () => status,
      getHeader: (name) => (name === 'Location' ? this.location(headers) : headers.get(name)) ?? undefined,
      getBody: () => '',
      getUnderlyingObject: () => undefined,
    };
  }

  /** Where the upload is for us: a proxy may have put the API under another path than the server knows. */
  private location(headers: Headers): string | undefined {
    const location = headers.get('Location');
    return location === null ? undefined : `${this.endpoint}/${idOf(location)}`;
  }
}

/** The last part of an upload's address. */
export const idOf = (url: string): string => url.slice(url.lastIndexOf('/') + 1);
