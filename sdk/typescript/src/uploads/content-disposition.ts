const PARAMETER = /;\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";]*))\s*/gy;

/**
 * The name in `Content-Disposition` (RFC 6266): `filename*` (RFC 8187) before `filename`, without a path that it may have. Null when it
 * names none.
 */
export function filenameOf(header: string | null): string | null {
  const parameters = parametersOf(header ?? '');
  const name = decoded(parameters.get('filename*')) ?? parameters.get('filename') ?? '';
  const last = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1);
  return /^\.*$/.test(last) ? null : last;
}

function parametersOf(header: string): Map<string, string> {
  const parameters = new Map<string, string>();
  const begin = header.indexOf(';');
  if (begin < 0) return parameters;
  PARAMETER.lastIndex = begin;
  for (let match = PARAMETER.exec(header); match; match = PARAMETER.exec(header)) {
    const [, name, quoted, token] = match;
    const value = quoted === undefined ? token : quoted.replace(/\\(.)/g, '$1');
    if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value);
  }
  return parameters;
}

/** `UTF-8''na%C3%AFve.txt`; null when it is malformed. */
function decoded(value: string | undefined): string | null {
  const [, charset, text] = /^(utf-8|iso-8859-1)'[^']*'((?:%[\da-f]{2}|[\w!#$&+.^`|~-])*)$/i.exec(value ?? '') ?? [];
  if (text === undefined) return null;
  const bytes = Uint8Array.from(text.match(/%..|./g) ?? [], (part) =>
    part.length > 1 ? parseInt(part.slice(1), 16) : part.charCodeAt(0),
  );
  if (charset.toLowerCase() !== 'utf-8') return String.fromCharCode(...bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
