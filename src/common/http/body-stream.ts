import type { IncomingMessage, ServerResponse } from 'node:http';

/** Tells a client that asked first (`Expect: 100-continue`) to send its body: nothing has refused the request before that. */
export function invite(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.expect?.toLowerCase() === '100-continue' && !response.headersSent) response.writeContinue();
}
