/** A file that has changed since it was opened, or is gone: fetch says of it only that there was no answer. Null for other errors. */
export function unreadable(error: unknown): Error | null {
  for (let cause = error; cause; cause = (cause as Error).cause)
    if ((cause as Error).name === 'NotReadableError') return cause as Error;
  return null;
}
