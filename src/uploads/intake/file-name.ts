const NAMELESS = 'file';
const LENGTH_MAX = 255;
const EXTENSION = /\.[\p{L}\p{N}_-]{1,31}$/u;

/** How the form data of browsers carries what would end a quoted name (WHATWG HTML, multipart/form-data encoding). */
const FORM_ESCAPES: Record<string, string> = { '%22': '"', '%0D': '\r', '%0A': '\n' };

/** The name as it was before the browser put it into a form; other ways (tus, JSON) carry names as they are. */
export function fromFormName(given: string | undefined): string | undefined {
  return given?.replace(/%22|%0D|%0A/g, (escape) => FORM_ESCAPES[escape]);
}

/** Control characters, line and paragraph separators, what turns the direction of text, and halves of surrogate pairs. */
const UNSEEN = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/**
 * The name of a file as people see it: one line without a path, at most 255 code points, never empty. It is for display only; no path is
 * ever made of it.
 */
export function toDisplayName(given: string | undefined): string {
  const line = (given ?? '').replace(UNSEEN, '');
  const name = line
    .slice(Math.max(line.lastIndexOf('/'), line.lastIndexOf('\\')) + 1)
    .trimStart()
    .replace(/^(?:[A-Za-z]:)+/, '')
    .normalize('NFC')
    .trim();
  return /^\.*$/.test(name) ? NAMELESS : shorten(name);
}

/** Cuts before the extension, which tells people and their systems what the file is. */
function shorten(name: string): string {
  const characters = [...name];
  if (characters.length <= LENGTH_MAX) return name;
  const extension = EXTENSION.exec(name)?.[0] ?? '';
  const kept = characters.slice(0, LENGTH_MAX - [...extension].length).join('');
  return (kept + extension).trimEnd();
}
