import type { Socket } from 'node:net';
import { Injectable } from '@nestjs/common';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Counter, Histogram, Registry } from 'prom-client';
import { addGauge } from './gauge.js';

/** A client may name any method that Node's parser knows. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const OTHER_METHOD = 'other';
/** Whatever leads to no route: a client may name any path. */
const NO_ROUTE = 'unmatched';
/** As nginx has it: the client went before there was an answer. */
const CLIENT_CLOSED = 499;
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Answers under way, by the time at which their request came. */
type Open = Map<FastifyReply, number>;

/** What HTTP requests were answered with, and how soon. Labels are patterns of routes, never paths: they are as many as the program has. */
@Injectable()
export class RequestMetrics {
  private readonly requests: Counter<'method' | 'route' | 'status'>;
  private readonly durations: Histogram<'method' | 'route'>;
  private readonly open = new WeakMap<Socket, Open>();
  private inFlight = 0;

  constructor(registry: Registry) {
    const registers = [registry];
    this.requests = new Counter({
      name: 'gatehouse_http_requests_total',
      help: 'Requests answered',
      labelNames: ['method', 'route', 'status'],
      registers,
    });
    this.durations = new Histogram({
      name: 'gatehouse_http_request_duration_seconds',
      help: 'From the arrival of the headers to the end of the answer',
      labelNames: ['method', 'route'],
      buckets: SECONDS,
      registers,
    });
    const gauge = { name: 'gatehouse_http_requests_in_flight', help: 'Requests being answered' };
    addGauge(registry, gauge, () => this.inFlight);
  }

  begin(reply: FastifyReply): void {
    const { socket } = reply.request.raw;
    const open = this.open.get(socket) ?? this.watch(socket);
    open.set(reply, performance.now());
    this.inFlight++;
  }

  end(reply: FastifyReply): void {
    const open = this.open.get(reply.request.raw.socket);
    const since = open?.get(reply);
    if (since === undefined) return;
    open?.delete(reply);
    this.count(reply, since, reply.raw.statusCode);
  }

  /** An answer that waits behind others on its connection, finished or not, is not told of the connection's end. */
  private watch(socket: Socket): Open {
    const open: Open = new Map();
    this.open.set(socket, open);
    socket.once('close', () => {
      for (const [reply, since] of open) {
        const hasBegun = reply.raw.headersSent && reply.raw.socket !== null;
        this.count(reply, since, hasBegun ? reply.raw.statusCode : CLIENT_CLOSED);
      }
      open.clear();
    });
    return open;
  }

  private count({ request }: FastifyReply, since: number, status: number): void {
    this.inFlight--;
    const method = METHODS.has(request.method) ? request.method : OTHER_METHOD;
    const route = request.routeOptions.url ?? NO_ROUTE;
    this.requests.inc({ method, route, status });
    this.durations.observe({ method, route }, (performance.now() - since) / 1000);
  }
}

/** Before all other hooks: what these refuse is counted, and the time that they take. */
export function addRequestMetrics(server: FastifyInstance, metrics: RequestMetrics): void {
  server.addHook('onRequest', (_request, reply, done) => {
    metrics.begin(reply);
    done();
  });
  server.addHook('onResponse', (_request, reply, done) => {
    metrics.end(reply);
    done();
  });
}
