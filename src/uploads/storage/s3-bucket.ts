import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { S3Config } from '../../config/app-config.js';
import type { ByteRange } from './blob-storage.js';
import { createClients } from './s3-client.js';
import { isMissing, isTemporary, orUnavailable } from './s3-errors.js';
import type { SpoolFile } from './spool-file.js';

export interface ObjectEntry {
  readonly name: string;
  readonly size: number;
  readonly modifiedAt: Date;
}

/** Parts that were sent and are no object yet. */
export interface UnfinishedUpload {
  readonly name: string;
  readonly id: string;
  readonly startedAt: Date;
}

/** S3's own limit for one request. */
const REMOVED_AT_ONCE = 1000;
const SPOOL_ATTEMPTS = 3;
const BACKOFF_MS = 200;
const SIGNED_SECONDS = 300;

/** The requests to one bucket, in our terms: an object that is not there is `null`, and an outage is a ServiceUnavailableError. */
export class S3Bucket {
  private readonly requests: S3Client;
  private readonly downloads: S3Client;
  private readonly bucket: { readonly Bucket: string };

  constructor(config: S3Config) {
    ({ requests: this.requests, downloads: this.downloads } = createClients(config));
    this.bucket = { Bucket: config.bucket };
  }

  close(): void {
    this.requests.destroy();
    this.downloads.destroy();
  }

  /** Rejects with the error as the service gave it. */
  async check(abortSignal?: AbortSignal): Promise<void> {
    await this.requests.send(new HeadBucketCommand(this.bucket), { abortSignal });
  }

  async stat(name: string): Promise<{ size: number; modifiedAt: Date } | null> {
    const found = await orNull(this.requests.send(new HeadObjectCommand({ ...this.bucket, Key: name })));
    return found && { size: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0) };
  }

  /** Destroying the stream ends the request. */
  async get(name: string, range?: ByteRange): Promise<Readable | null> {
    const Range = range && `bytes=${range.start}-${range.end}`;
    const found = await orNull(this.downloads.send(new GetObjectCommand({ ...this.bucket, Key: name, Range })));
    return found && (found.Body as Readable);
  }

  async getBytes(name: string, range?: ByteRange): Promise<Buffer | null> {
    const stream = await this.get(name, range);
    return stream && Buffer.concat((await orUnavailable(stream.toArray())) as Buffer[]);
  }

  async put(name: string, bytes: Buffer): Promise<void> {
    await orUnavailable(this.requests.send(new PutObjectCommand({ ...this.bucket, Key: name, Body: bytes })));
  }

  async putSpool(name: string, spool: SpoolFile, signal: AbortSignal): Promise<void> {
    const input = { ...this.bucket, Key: name, ContentLength: spool.length };
    await fromSpool(spool, signal, (Body, abortSignal) =>
      this.requests.send(new PutObjectCommand({ ...input, Body }), { abortSignal }),
    );
  }

  async createUpload(name: string): Promise<string> {
    const command = new CreateMultipartUploadCommand({ ...this.bucket, Key: name });
    const { UploadId } = await orUnavailable(this.requests.send(command));
    if (!UploadId) throw new Error('The S3 service has started an upload without an id');
    return UploadId;
  }

  async hasUpload(name: string, id: string): Promise<boolean> {
    const command = new ListPartsCommand({ ...this.bucket, Key: name, UploadId: id, MaxParts: 1 });
    return (await orNull(this.requests.send(command))) !== null;
  }

  /** Answers the part's ETag, which completing the upload asks for. */
  async sendPart(name: string, id: string, number: number, spool: SpoolFile, signal: AbortSignal): Promise<string> {
    const input = { ...this.bucket, Key: name, UploadId: id, PartNumber: number, ContentLength: spool.length };
    const { ETag } = await fromSpool(spool, signal, (Body, abortSignal) =>
      this.requests.send(new UploadPartCommand({ ...input, Body }), { abortSignal }),
    );
    if (!ETag) throw new Error('The S3 service has taken a part without an ETag');
    return ETag;
  }

  /** False when there is no such upload (any more). */
  async completeUpload(name: string, id: string, etags: readonly string[]): Promise<boolean> {
    const Parts = etags.map((ETag, index) => ({ ETag, PartNumber: index + 1 }));
    const input = { ...this.bucket, Key: name, UploadId: id, MultipartUpload: { Parts } };
    return (await orNull(this.requests.send(new CompleteMultipartUploadCommand(input)))) !== null;
  }

  async abortUpload(name: string, id: string): Promise<void> {
    await orNull(this.requests.send(new AbortMultipartUploadCommand({ ...this.bucket, Key: name, UploadId: id })));
  }

  async remove(names: readonly string[]): Promise<void> {
    for (let from = 0; from < names.length; from += REMOVED_AT_ONCE) {
      const Objects = names.slice(from, from + REMOVED_AT_ONCE).map((Key) => ({ Key }));
      const command = new DeleteObjectsCommand({ ...this.bucket, Delete: { Objects, Quiet: true } });
      const { Errors = [] } = await orUnavailable(this.requests.send(command));
      const failed = Errors.filter(({ Code }) => Code !== 'NoSuchKey');
      if (failed.length > 0) throw new Error(`${failed.length} objects could not be removed: ${failed[0].Code}`);
    }
  }

  async *objects(prefix: string): AsyncGenerator<ObjectEntry[]> {
    for (let ContinuationToken: string | undefined; ;) {
      const command = new ListObjectsV2Command({ ...this.bucket, Prefix: prefix, ContinuationToken });
      const page = await orUnavailable(this.requests.send(command));
      yield (page.Contents ?? []).map(({ Key = '', Size = 0, LastModified = new Date(0) }) => ({
        name: Key,
        size: Size,
        modifiedAt: LastModified,
      }));
      if (!page.IsTruncated) return;
      ContinuationToken = page.NextContinuationToken;
    }
  }

  async *uploads(prefix: string): AsyncGenerator<UnfinishedUpload[]> {
    for (let markers: { KeyMarker?: string; UploadIdMarker?: string } = {}; ;) {
      const command = new ListMultipartUploadsCommand({ ...this.bucket, Prefix: prefix, ...markers });
      const page = await orUnavailable(this.requests.send(command));
      yield (page.Uploads ?? []).map(({ Key = '', UploadId = '', Initiated = new Date(0) }) => ({
        name: Key,
        id: UploadId,
        startedAt: Initiated,
      }));
      if (!page.IsTruncated) return;
      markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    }
  }

  /** An address that hands the object out to whoever has it, for five minutes. */
  presign(name: string, headers: { contentType: string; contentDisposition: string }): Promise<string> {
    const command = new GetObjectCommand({
      ...this.bucket,
      Key: name,
      ResponseContentType: headers.contentType,
      ResponseContentDisposition: headers.contentDisposition,
      ResponseCacheControl: 'private, no-cache',
    });
    return getSignedUrl(this.downloads, command, { expiresIn: SIGNED_SECONDS });
  }
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await orUnavailable(answer);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** The SDK cannot send a stream twice: each attempt gets one of its own. */
function fromSpool<T>(
  spool: SpoolFile,
  signal: AbortSignal,
  send: (body: Readable, abortSignal: AbortSignal) => Promise<T>,
): Promise<T> {
  const attempt = async (): Promise<T> => {
    const body = spool.stream();
    const unreadable = new AbortController();
    // The request does not listen for this, and would wait for the rest.
    body.on('error', (error) => unreadable.abort(error));
    try {
      return await send(body, AbortSignal.any([signal, unreadable.signal]));
    } catch (error) {
      throw unreadable.signal.aborted ? unreadable.signal.reason : error;
    } finally {
      body.destroy();
    }
  };
  const attempts = async (): Promise<T> => {
    for (let number = 1; ; number++) {
      try {
        return await attempt();
      } catch (error) {
        if (number === SPOOL_ATTEMPTS || !isTemporary(error)) throw error;
        await delay(BACKOFF_MS * 2 ** number * (0.5 + Math.random() / 2), undefined, { signal });
      }
    }
  };
  return orUnavailable(attempts());
}
