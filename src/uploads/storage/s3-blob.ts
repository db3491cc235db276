import type { S3Bucket, UnfinishedUpload } from './s3-bucket.js';

/** Finished blobs; the parts of unfinished ones are sent under the same names, where nobody can read them. */
export const PUBLISHED = 'files/';
/** What an interrupted upload needs besides its parts. */
export const UNFINISHED = 'unfinished/';
export const IDENTITY = 'storage-id';

/** The objects of one blob. */
export interface BlobNames {
  readonly published: string;
  /** The first bytes of a blob of which parts have been sent: S3 does not give those out. */
  readonly head: string;
  /** What is no whole part yet; two by turns, so that the one of the checkpoint before stays as it was. */
  readonly tails: readonly [string, string];
}

export const namesOf = (key: string): BlobNames => ({
  published: PUBLISHED + key,
  head: `${UNFINISHED}${key}/head`,
  tails: [`${UNFINISHED}${key}/tail-0`, `${UNFINISHED}${key}/tail-1`],
});

export const helpersOf = (key: string): string[] => [namesOf(key).head, ...namesOf(key).tails];

export const keyOfPublished = (name: string): string => name.slice(PUBLISHED.length);
export const keyOfHelper = (name: string): string => name.slice(UNFINISHED.length, name.lastIndexOf('/'));
export const keyOfUpload = ({ name }: UnfinishedUpload): string => keyOfPublished(name);

/** Gives up all parts that were sent for these blobs and are no object yet. */
export async function abortUploads(bucket: S3Bucket, keys: readonly string[]): Promise<void> {
  const wanted = new Set(keys);
  for await (const page of bucket.uploads(PUBLISHED + commonPrefix(keys))) {
    for (const upload of page) if (wanted.has(keyOfUpload(upload))) await bucket.abortUpload(upload.name, upload.id);
  }
}

function commonPrefix([first = '', ...others]: readonly string[]): string {
  let length = first.length;
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length--;
  return first.slice(0, length);
}
