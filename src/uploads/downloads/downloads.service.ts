import type { OutgoingHttpHeaders } from 'node:http';
import { Readable, type Writable } from 'node:stream';
import { Injectable, Logger } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppConfig } from '../../config/app-config.js';
import { BlobMissingError, BlobStorage, type ByteRange } from '../storage/blob-storage.js';
import { LocalStorage } from '../storage/local-storage.js';
import { fileHash, type StoredFile } from '../stored-file.entity.js';
import { FileBytesMissingError, PreconditionFailedError, RangeNotSatisfiableError } from '../uploads.errors.js';
import { attachment } from './content-disposition.js';
import { planDownload } from './download-plan.js';

/**
 * What a browser could run stays inert, whatever its type says: it is saved, not shown; should it be shown all the same, its type is not
 * guessed, it has no origin, and it loads nothing.
 */
const INERT = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  // A copy may be kept, and is asked for again each time: the access may have ended.
  'Cache-Control': 'private, no-cache',
};

/** Hands out the bytes of a file to whoever may have them. */
@Injectable()
export class DownloadsService {
  private readonly logger = new Logger(DownloadsService.name);

  constructor(
    private readonly storage: BlobStorage,
    private readonly config: AppConfig,
  ) {}

  /** Answers a GET or HEAD (RFC 9110): conditional, ranged, or by sending the client, or the proxy, to where the bytes are. */
  async send(file: StoredFile, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const representation = { size: file.fileSize, etag: `"${fileHash(file)}"`, lastModified: file.uploadDate };
    const plan = planDownload({ method: request.method, headers: request.headers }, representation);
    if (plan.status === 412) throw new PreconditionFailedError();
    if (plan.status === 416) throw new RangeNotSatisfiableError(file.fileSize);
    if (plan.status === 304)
      return void reply
        .headers({ ...INERT, ...plan.headers })
        .status(304)
        .send();
    const contentDisposition = attachment(file.originalFilename);
    const names = { contentType: file.contentType, contentDisposition };
    const redirect = plan.hasBody ? await this.storage.downloadUrl(file.id, names) : null;
    if (redirect) return void reply.redirect(redirect, 302);
    const { accelPrefix } = this.config.uploads;
    // What has to be there is looked for, and opened, before a header tells of it.
    if (plan.hasBody && accelPrefix && (await this.storage.stat(file.id)) === null) throw this.missing(file);
    const sendBytes = plan.hasBody && !accelPrefix && file.fileSize > 0 ? await this.open(file, plan.range) : null;
    reply.headers({
      ...INERT,
      ...plan.headers,
      'Content-Type': file.contentType,
      'Content-Disposition': contentDisposition,
    });
    if (plan.hasBody && accelPrefix) return this.sendByProxy(file, accelPrefix, reply);
    if (sendBytes) return this.sendDirectly(plan.status, sendBytes, reply);
    // Fastify takes the length of a HEAD's answer from its body, but for a stream.
    void reply.status(plan.status).send(Readable.from([]));
  }

  /** Past Fastify, which would take a stream. The connection ends with the answer when the bytes do not come, or are not taken. */
  private async sendDirectly(
    status: number,
    sendBytes: (target: Writable) => Promise<void>,
    reply: FastifyReply,
  ): Promise<void> {
    reply.hijack();
    const { raw } = reply;
    raw.setTimeout(this.config.http.requestTimeoutSeconds * 1000, () => raw.destroy());
    raw.writeHead(status, reply.getHeaders() as OutgoingHttpHeaders);
    try {
      await sendBytes(raw);
      raw.end();
    } catch (error) {
      this.logger.debug(`A download ended early: ${(error as Error).message}`);
      raw.destroy();
    }
  }

  /** nginx sends the file, in the range that its client has asked for. */
  private sendByProxy(file: StoredFile, prefix: string, reply: FastifyReply): void {
    reply.removeHeader('Content-Length').removeHeader('Content-Range');
    reply.header('X-Accel-Redirect', prefix + LocalStorage.relativePath(file.id));
    void reply.status(200).send('');
  }

  private async open(file: StoredFile, range: ByteRange | null): Promise<(target: Writable) => Promise<void>> {
    try {
      return await this.storage.openToSend(file.id, range ?? { start: 0, end: file.fileSize - 1 });
    } catch (error) {
      if (!(error instanceof BlobMissingError)) throw error;
      throw this.missing(file, error);
    }
  }

  private missing(file: StoredFile, cause?: unknown): FileBytesMissingError {
    this.logger.error(`The bytes of file ${file.id} of user ${file.ownerId} are missing`);
    return new FileBytesMissingError(cause);
  }
}
