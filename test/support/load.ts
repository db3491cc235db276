import type http from 'node:http';
import { formAround, sha256 } from './uploads.js';
import { callApi } from './topology.js';

/** Who asks, and from where. */
export interface LoadClient {
  readonly token: string;
  readonly agent: http.Agent;
}

interface Step {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
  readonly status: number;
}

const BOUNDARY = 'boundary-of-a-test-1234567890';

/** Clients that read, write, publish and send files, one request after the other, and never a second time. */
export class Load {
  requests = 0;
  slowestMs = 0;
  readonly failures: string[] = [];
  /** What was acknowledged, by client. */
  readonly published: any[][] = [];
  private isStopped = false;
  private working: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly url: string,
    private readonly clients: readonly LoadClient[],
    private readonly channel: string,
  ) {}

  start(): void {
    this.working = Promise.all(this.clients.map((client, at) => this.work(client, at)));
  }

  /** Resolves when so many more requests have been answered. */
  async answers(count: number): Promise<void> {
    const enough = this.requests + count;
    while (this.requests < enough) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.working;
    for (const { agent } of this.clients) agent.destroy();
  }

  private async work(client: LoadClient, at: number): Promise<void> {
    const published: any[] = [];
    this.published.push(published);
    for (let round = 1; !this.isStopped; round++) {
      await this.ask(client, { method: 'GET', path: '/users/me', status: 200 });
      const body = { channel: this.channel, event: 'load', data: { client: at, round } };
      const message = await this.ask(client, { method: 'POST', path: '/broadcasting/messages', body, status: 201 });
      if (message) published.push(message);
      await this.ask(client, {
        method: 'PATCH',
        path: '/users/me',
        body: { full_name: `Round ${round}` },
        status: 200,
      });
      await this.ask(client, { method: 'PUT', path: '/users/me', body: { full_name: `PUT ${round}` }, status: 200 });
      await this.ask(client, { method: 'GET', path: '/uploads?size=5', status: 200 });
      await this.sendFile(client, `client ${at} round ${round}`);
    }
  }

  /** Sent, read again, deleted. */
  private async sendFile(client: LoadClient, text: string): Promise<void> {
    const content = Buffer.from(text.repeat(50));
    const [head, tail] = formAround({ name: 'load.txt', type: 'text/plain' });
    const form = Buffer.concat([head, content, tail]);
    const sent = await this.ask(client, { method: 'POST', path: '/uploads', status: 201 }, form);
    if (!sent) return;
    const bytes = await this.ask(client, { method: 'GET', path: `/uploads/${sent.id}/download`, status: 200 });
    if (bytes && sha256(bytes) !== sent.file_hash) this.failures.push(`the file of ${text} came back as another`);
    await this.ask(client, { method: 'DELETE', path: `/uploads/${sent.id}`, status: 204 });
  }

  /** `null` when it failed. */
  private async ask({ token, agent }: LoadClient, { method, path, body, status }: Step, form?: Buffer): Promise<any> {
    const began = performance.now();
    const headers = form && {
      'Content-Type': `multipart/form-data; boundary=${BOUNDARY}`,
      'Content-Length': form.length,
    };
    const answer = await callApi(`${this.url}/api/v1${path}`, { method, token, agent, body, headers }, form).catch(
      (error: unknown) => String(error),
    );
    this.requests++;
    this.slowestMs = Math.max(this.slowestMs, performance.now() - began);
    if (typeof answer !== 'string' && answer.status === status) return answer.body;
    const outcome = typeof answer === 'string' ? answer : `${answer.status} ${JSON.stringify(answer.body)}`;
    this.failures.push(`${method} ${path}: ${outcome}`);
    return null;
  }
}
