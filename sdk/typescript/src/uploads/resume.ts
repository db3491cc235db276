import type { Source } from './source.js';

/** Where it is kept which uploads are unfinished, so that a later page or process goes on with them. The methods may be asynchronous. */
export interface UploadStorage {
  /** The id of the unfinished upload of this file. */
  get(key: string): string | null | Promise<string | null>;
  /** `null` forgets it. When it fails, the upload goes on nevertheless. */
  set(key: string, id: string | null): void | Promise<void>;
}

/** Keeps them in the browser's localStorage. They are no secrets: nobody but their owner can go on with them. */
export function localStorageUploads(prefix = 'gatehouse.upload'): UploadStorage {
  return {
    get: (key) => localStorage.getItem(`${prefix}.${key}`),
    set: (key, id) => {
      if (id === null) localStorage.removeItem(`${prefix}.${key}`);
      else localStorage.setItem(`${prefix}.${key}`, id);
    },
  };
}

/** What makes out a file. Only a `File` says when it was changed, and without that the halves of two files could be put together. */
export function keyOf(baseURL: string, { filename, contentType, size, lastModified }: Source): string {
  if (lastModified === null)
    throw new TypeError('Only a File can be resumed: new File([blob], name, { lastModified })');
  return JSON.stringify([baseURL, filename, contentType, size, lastModified]);
}
