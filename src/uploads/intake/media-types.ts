import { supportedMimeTypes } from 'file-type/core';
import { Mime } from 'mime';
import otherTypes from 'mime/types/other.js';
import standardTypes from 'mime/types/standard.js';

/** Other names of a type → the name under which it is compared and stored. */
const ALIASES = new Map<string, string>(
  Object.entries({
    'image/jpg': 'image/jpeg',
    'image/pjpeg': 'image/jpeg',
    'image/x-png': 'image/png',
    'image/x-ms-bmp': 'image/bmp',
    'image/x-icon': 'image/vnd.microsoft.icon',
    'application/x-pdf': 'application/pdf',
    'text/rtf': 'application/rtf',
    'text/xml': 'application/xml',
    'text/json': 'application/json',
    'application/csv': 'text/csv',
    'application/x-csv': 'text/csv',
    'text/x-csv': 'text/csv',
    'text/comma-separated-values': 'text/csv',
    'text/x-markdown': 'text/markdown',
    'text/x-log': 'text/plain',
    'text/x-vcard': 'text/vcard',
    'application/javascript': 'text/javascript',
    'application/x-javascript': 'text/javascript',
    'application/x-zip': 'application/zip',
    'application/x-zip-compressed': 'application/zip',
    'application/x-gzip': 'application/gzip',
    'application/x-bzip': 'application/x-bzip2',
    'application/x-rar-compressed': 'application/vnd.rar',
    'application/x-rar': 'application/vnd.rar',
    'application/x-redhat-package-manager': 'application/x-rpm',
    'application/eps': 'application/postscript',
    'application/x-dosexec': 'application/x-msdownload',
    'application/x-msdos-program': 'application/x-msdownload',
    'application/vnd.microsoft.portable-executable': 'application/x-msdownload',
    'application/x.ms.shortcut': 'application/x-ms-shortcut',
    'audio/mp3': 'audio/mpeg',
    'audio/x-wav': 'audio/wav',
    'audio/wave': 'audio/wav',
    'audio/vnd.wave': 'audio/wav',
    'audio/x-flac': 'audio/flac',
    'audio/x-aiff': 'audio/aiff',
    'audio/x-m4a': 'audio/mp4',
    'audio/opus': 'audio/ogg',
    'video/avi': 'video/vnd.avi',
    'video/x-msvideo': 'video/vnd.avi',
    'video/x-matroska': 'video/matroska',
    'video/mp1s': 'video/mpeg',
    'video/mp2p': 'video/mpeg',
  }),
);

/** In lower case, without parameters, under the one name that it has here. */
export function canonicalType(type: string): string {
  const name = type.split(';', 1)[0].trim().toLowerCase();
  return ALIASES.get(name) ?? name;
}

/** Extensions as people use them, where the mime package knows none or something else. */
const extensions = new Mime(standardTypes, otherTypes).define(
  {
    // TypeScript as often as a video: the content decides.
    'application/octet-stream': ['ts', 'mts'],
    'text/plain': ['rs'],
    'text/markdown': ['mdown', 'mkd'],
    'application/vnd.ms-project': ['mpp'],
    'application/x-msi': ['msi'],
    // Programs, scripts and links that Windows follows on a double click.
    'application/x-msdownload': ['exe', 'dll', 'scr', 'pif', 'sys'],
    'application/x-bat': ['bat', 'cmd'],
    'application/x-powershell': ['ps1', 'psm1'],
    'application/x-mswinurl': ['url'],
    'application/x-ms-regedit': ['reg'],
    'text/vbscript': ['vbs', 'vbe'],
    'text/javascript': ['jse', 'wsf', 'wsh'],
    'text/html': ['hta', 'phtml'],
  },
  true,
);

/** The type that a name claims by its extension, `null` when it claims none. Windows drops dots and spaces at the end of a name. */
export function typeOfName(filename: string): string | null {
  const extension = /\.([^.]+)[. ]*$/.exec(filename)?.[1].trimEnd().toLowerCase();
  if (extension === undefined) return null;
  const type = extensions.getType(`file.${extension}`);
  return type === null || type === 'application/octet-stream' ? null : canonicalType(type);
}

const TEXT_TYPES: ReadonlySet<string> = new Set(
  [
    ...['json', 'xml', 'xml-dtd', 'sql', 'toml', 'yaml', 'jsonl', 'x-ndjson', 'graphql', 'pgp-keys', 'x-subrip'],
    ...['x-sh', 'x-csh', 'x-bat', 'x-powershell', 'x-mswinurl', 'x-httpd-php', 'x-perl', 'x-tcl', 'x-tex', 'x-latex'],
  ].map((name) => `application/${name}`),
).add('message/rfc822');

export const isTextType = (type: string): boolean =>
  type.startsWith('text/') || type.endsWith('+json') || isMarkup(type) || TEXT_TYPES.has(type);

/** What a browser would show as a document, with scripts in it. */
export const isMarkup = (type: string): boolean =>
  type === 'text/html' || type === 'application/xml' || type.endsWith('+xml');

/** Types with a signature, so that bytes without one are something else. Left out: those of which it marks only some files. */
export const hasSignature = (type: string): boolean => WITH_SIGNATURE.has(type);

const WITHOUT: ReadonlySet<string> = new Set(['model/stl', 'application/pgp-encrypted', 'application/x-ms-regedit']);
const WITH_SIGNATURE = new Set([...supportedMimeTypes].map(canonicalType).filter((type) => !WITHOUT.has(type)));
