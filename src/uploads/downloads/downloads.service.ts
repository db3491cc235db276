import { Readable } from 'node:stream';
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
    // What has to be opened is opened before a header tells of it. Fastify takes a HEAD's length from its body, but for a stream.
    const body = plan.hasBody && !accelPrefix ? await this.open(file, plan.range) : Readable.from([]);
    reply.headers({
      ...INERT,
      ...plan.headers,
      'Content-Type': file.contentType,
      'Content-Disposition': contentDisposition,
    });
    if (plan.hasBody && accelPrefix) return this.sendByProxy(file, accelPrefix, reply);
    // Who takes nothing for so long has gone, or only wants to hold a place.
    reply.raw.setTimeout(this.config.http.requestTimeoutSeconds * 1000, () => reply.raw.destroy());
    void reply.status(plan.status).send(body);
  }

  /** nginx sends the file, in the range that its client has asked for. */
  private sendByProxy(file: StoredFile, prefix: string, reply: FastifyReply): void {
    reply.removeHeader('Content-Length').removeHeader('Content-Range');
    reply.header('X-Accel-Redirect', prefix + LocalStorage.relativePath(file.id));
    void reply.status(200).send('');
  }

  private async open(file: StoredFile, range: ByteRange | null): Promise<Readable> {
    try {
      return await this.storage.read(file.id, range ?? whole(file));
    } catch (error) {
      if (!(error instanceof BlobMissingError)) throw error;
      this.logger.error(`The bytes of file ${file.id} of user ${file.ownerId} are missing`);
      throw new FileBytesMissingError(error);
    }
  }
}

/** Said explicitly, so that a blob that is shorter than its file is found out. Nothing has no range. */
const whole = ({ fileSize }: StoredFile): ByteRange | undefined =>
  fileSize > 0 ? { start: 0, end: fileSize - 1 } : undefined;
