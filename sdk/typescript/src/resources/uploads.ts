import { path } from '../http/path.js';
import type { CallOptions, Transport } from '../http/transport.js';
import { iterate } from '../pagination.js';
import type { BulkDeleteResult, Filters, Page, Query, SignedUrl, StoredFile, UpdateFileInput } from '../types.js';
import { Download, type DownloadOptions, rangeHeader } from '../uploads/download.js';
import type { UploadSource } from '../uploads/source.js';
import { upload, type UploadOptions } from '../uploads/upload.js';

/** What the server can of resumable uploads. */
export interface ResumableLimits {
  /** Of tus. */
  version: string;
  extensions: string[];
  /** Bytes of the largest file; null when there is no limit. */
  maxSize: number | null;
  checksumAlgorithms: string[];
}

/** Files. A key needs `uploads:read`, for what changes something `uploads:write`. */
export class Uploads {
  /** @internal */
  constructor(private readonly transport: Transport) {}

  /**
   * Uploads a file. When this resolves, the file is whole and on disk. A large one goes on where it was when a connection breaks, if
   * `tus-js-client` is installed; any other is sent once, and again only after a 429.
   *
   * @throws GatehouseError 413 `file_too_large`, 415 `file_type_not_allowed` or `file_type_mismatch`, 507 `quota_exceeded`
   */
  create(file: UploadSource, options?: UploadOptions): Promise<StoredFile> {
    return upload(this.transport, file, options);
  }

  /** Your own files, newest first. */
  list(query?: Query<'get_uploads'>, options?: CallOptions): Promise<Page<StoredFile>> {
    return this.transport.json({ method: 'GET', path: '/api/v1/uploads', query, ...options });
  }

  /**
   * Your own files of all pages. To delete them, collect the ids first: what is deleted meanwhile shifts items between pages, and some are
   * passed over.
   */
  iterate(filters?: Filters<'get_uploads'>, options?: CallOptions): AsyncGenerator<StoredFile> {
    return iterate((page) => this.list({ ...filters, ...page }, options));
  }

  /** What is known about a file, without its bytes. */
  get(id: string, options?: CallOptions): Promise<StoredFile> {
    return this.transport.json({ method: 'GET', path: path`/api/v1/uploads/${id}`, ...options });
  }

  /** Changes display name or description; `null` clears a description. The file downloads as the name that it came with. */
  update(id: string, input: UpdateFileInput, options?: CallOptions): Promise<StoredFile> {
    return this.transport.json({ method: 'PATCH', path: path`/api/v1/uploads/${id}`, json: input, ...options });
  }

  /** Deletes a file for good. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: path`/api/v1/uploads/${id}`, ...options });
  }

  /** Deletes up to 100 files; says which it could not delete, and why. */
  bulkDelete(ids: string[], options?: CallOptions): Promise<BulkDeleteResult> {
    return this.transport.json({ method: 'POST', path: '/api/v1/uploads/bulk-delete', json: { ids }, ...options });
  }

  /** The bytes of a file, or of a part of it. They come as they are read. */
  async download(id: string, options?: DownloadOptions): Promise<Download> {
    return this.open({ path: path`/api/v1/uploads/${id}/download` }, options);
  }

  /**
   * A link that downloads the file for whoever has it, without signing in.
   *
   * @param input `expires_in`: seconds, from a minute to seven days; an hour by default
   */
  createSignedUrl(id: string, input: { expires_in?: number } = {}, options?: CallOptions): Promise<SignedUrl> {
    return this.transport.json({
      method: 'POST',
      path: path`/api/v1/uploads/${id}/signed-url`,
      json: input,
      isRepeatable: true,
      ...options,
    });
  }

  /**
   * Downloads by a link of `createSignedUrl()`. No credentials are sent.
   *
   * @throws PermissionDeniedError `link_invalid` for a link that has expired or was altered
   */
  async downloadSigned(url: string, options?: DownloadOptions): Promise<Download> {
    return this.open({ path: new URL(url).href, isAuthenticated: false }, options);
  }

  /** What resumable uploads can be. Not for pages of another origin, whose browsers may not ask for it. */
  async resumableLimits(options?: CallOptions): Promise<ResumableLimits> {
    const { headers } = await this.transport.response({
      method: 'OPTIONS',
      path: '/api/v1/uploads/resumable',
      isAuthenticated: false,
      ...options,
    });
    const list = (name: string) => headers.get(name)?.split(',').filter(Boolean) ?? [];
    const maxSize = headers.get('Tus-Max-Size');
    return {
      version: headers.get('Tus-Version') ?? '',
      extensions: list('Tus-Extension'),
      maxSize: maxSize === null ? null : Number(maxSize),
      checksumAlgorithms: list('Tus-Checksum-Algorithm'),
    };
  }

  private async open(
    target: { path: string; isAuthenticated?: boolean },
    { range, ...options }: DownloadOptions = {},
  ): Promise<Download> {
    const headers = range ? { Range: rangeHeader(range) } : undefined;
    const response = await this.transport.response({ method: 'GET', headers, ...target, ...options });
    return new Download(response, options.signal);
  }
}
