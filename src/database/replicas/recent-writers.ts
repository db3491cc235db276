import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { GatehouseRequest } from '../../common/http/request.js';
import { AppConfig } from '../../config/app-config.js';

/** Twice what a replica may be behind. */
const REMEMBERED_MS = 10_000;
const WRITERS_MAX = 100_000;
const READING = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Who has changed something by this process lately. They are to see what they have done, so their lists come from the primary. */
@Injectable()
export class RecentWriters implements OnModuleInit {
  private readonly requests = new AsyncLocalStorage<GatehouseRequest>();
  private readonly writers = new LRUCache<string, true>({ max: WRITERS_MAX, ttl: REMEMBERED_MS });

  constructor(
    private readonly adapter: HttpAdapterHost,
    private readonly config: AppConfig,
  ) {}

  /** Without replicas no request passes here. */
  onModuleInit(): void {
    if (this.config.database.replicaUrls.length === 0) return;
    const server = this.adapter.httpAdapter.getInstance<FastifyInstance>();
    server.addHook('onRequest', (request, _reply, done) => this.requests.run(request, done));
    // Before the answer, whose reader may ask at once.
    server.addHook('onSend', (request: GatehouseRequest, _reply, _payload, done) => {
      if (request.principal && !READING.has(request.method)) this.writers.set(request.principal.id, true);
      done();
    });
  }

  /** Whether whoever makes the request that is being answered is one of them. */
  includesCaller(): boolean {
    const caller = this.requests.getStore()?.principal;
    return caller !== undefined && this.writers.has(caller.id);
  }
}
