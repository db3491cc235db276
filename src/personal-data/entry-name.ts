/** Of one part of a path, in UTF-8, on the file systems in use. */
const BYTES_MAX = 255;
const EXTENSION = /\.[\p{L}\p{N}_-]{1,31}$/u;
/** What some system takes for something else than a part of a name, or shows as something else. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}/\\:*?"<>|]/gu;

const bytesOf = (text: string) => Buffer.byteLength(text);

/** The name of a file in the archive: in one folder, unlike any other, and fit for every system that it may be unpacked on. */
export function entryNameOf(id: string, name: string): string {
  const prefix = `${id}-`;
  const safe = name.toWellFormed().replace(UNSAFE, '_');
  return `files/${prefix}${shorten(safe, BYTES_MAX - bytesOf(prefix)).replace(/[. ]+$/, '') || 'file'}`;
}

/** Cuts before the extension, and never within a character. */
function shorten(name: string, bytesMax: number): string {
  if (bytesOf(name) <= bytesMax) return name;
  const extension = EXTENSION.exec(name)?.[0] ?? '';
  let [kept, bytes] = ['', bytesOf(extension)];
  for (const character of name) {
    bytes += bytesOf(character);
    if (bytes > bytesMax) break;
    kept += character;
  }
  return kept + extension;
}
