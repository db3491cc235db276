import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Server } from '@tus/server';
import { type Lock, TUS_RESUMABLE } from '@tus/utils';
import { NodeRequest } from 'srvx/node';
import { v7 as uuidv7 } from 'uuid';
import { AppError, type ErrorKind } from '../../common/errors/app-error.js';
import { invite } from '../../common/http/body-stream.js';
import { isId } from '../../common/validation/id.pipe.js';
import { AppConfig } from '../../config/app-config.js';
import { watchProgress } from '../intake/progress-guard.js';
import { UploadFinisher } from '../intake/upload-finisher.js';
import { FileNotFoundError, FileTooLargeError, TusVersionError } from '../uploads.errors.js';
import { Checksum, CHECKSUM_ALGORITHMS } from './checksum.js';
import { type ResumableCall, ResumableUploads } from './resumable-uploads.js';
import { UploadLocker } from './upload-locker.js';

/** Set by our server, for all routes. */
const NOT_PASSED_ON = /^(access-control-|content-length$|cache-control$|connection$)/;

/** What the library answers by number alone, in the terms of our API. */
const FAILURES: Record<number, [kind: ErrorKind, code: string]> = {
  400: ['malformed', 'malformed_request'],
  // A header that the protocol asks for is missing: a fault of the request, whatever the caller may do.
  403: ['malformed', 'malformed_request'],
  409: ['conflict', 'upload_offset_conflict'],
  410: ['gone', 'upload_expired'],
  413: ['too_large', 'upload_length_exceeded'],
  501: ['not_implemented', 'tus_extension_unsupported'],
};

/** The tus 1.0 protocol by its own library, with the callers, errors and limits of our API. */
@Injectable()
export class TusServer {
  private readonly server: Server;

  constructor(
    private readonly uploads: ResumableUploads,
    private readonly config: AppConfig,
    private readonly finisher: UploadFinisher,
    locker: UploadLocker,
  ) {
    this.server = new Server({
      path: '/',
      datastore: uploads,
      locker: { newLock: (id) => this.lockUntilWritten(locker.newLock(id)) },
      maxSize: config.uploads.maxFileBytes,
      respectForwardedHeaders: false,
      namingFunction: () => uuidv7(),
      getFileIdFromRequest: (_request, last) => (last && isId(last) ? last.toLowerCase() : undefined),
      generateUrl: ({ url }, { id }) => `${new URL(url).pathname.replace(/\/$/, '')}/${id}`,
      onUploadFinish: async ({ url }, { id }) => ({
        headers: { 'Content-Location': new URL(url).pathname.replace(/\/resumable(\/.*)?$/, `/${id}`) },
      }),
      onResponseError: (_request, error) => {
        const call = uploads.calls.getStore();
        if (call) call.error = error;
        return undefined;
      },
    });
  }

  async handle(ownerId: string, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { raw } = request;
    reply.header('Tus-Resumable', TUS_RESUMABLE);
    if (raw.method !== 'OPTIONS' && raw.headers['tus-resumable'] !== TUS_RESUMABLE)
      throw new TusVersionError(TUS_RESUMABLE);
    const checksumHeader = raw.headers['upload-checksum'];
    const checksum = typeof checksumHeader === 'string' ? Checksum.from(checksumHeader) : null;
    const progress = watchProgress(raw, this.config.http.requestTimeoutSeconds);
    const call: ResumableCall = {
      ownerId,
      checksum,
      invite: () => invite(raw, reply.raw),
      interrupted: progress.failed,
    };
    try {
      const response = await this.uploads.calls.run(call, () =>
        this.server.handleWeb(new NodeRequest({ req: raw, res: reply.raw })),
      );
      for (const [name, value] of response.headers) if (!NOT_PASSED_ON.test(name)) reply.header(name, value);
      if (raw.method === 'OPTIONS') reply.header('Tus-Checksum-Algorithm', CHECKSUM_ALGORITHMS.join(','));
      const isBroken = raw.destroyed && !raw.readableEnded;
      // Without the answer to its creation nobody can go on with an upload, or give it up.
      if (call.createdId && (response.status >= 400 || isBroken))
        await this.finisher.abandon({ id: call.createdId, ownerId }, null);
      if (response.status >= 400) throw this.failure(response.status, await response.text(), call.error);
      void reply.status(response.status).send();
    } finally {
      progress.stop();
    }
  }

  private lockUntilWritten(lock: Lock): Lock {
    return {
      lock: (signal, requestRelease) => lock.lock(signal, requestRelease),
      unlock: async () => {
        await this.uploads.calls.getStore()?.writing;
        await lock.unlock();
      },
    };
  }

  private failure(status: number, text: string, thrown: unknown): unknown {
    const isTheirs = typeof thrown === 'object' && thrown !== null && 'status_code' in thrown;
    if (thrown && !isTheirs) return thrown;
    if (status === 404) return new FileNotFoundError();
    if (status === 413 && text.startsWith('Maximum')) return new FileTooLargeError(this.config.uploads.maxFileBytes);
    const [kind, code] = FAILURES[status] ?? ['internal', 'internal_error'];
    return new AppError(kind, code, text.trim().split('\n')[0]);
  }
}
