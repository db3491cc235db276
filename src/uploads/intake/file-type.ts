import { fileTypeFromBuffer } from 'file-type/core';
import { FileTypeMismatchError, FileTypeNotAllowedError } from '../uploads.errors.js';
import { isOfficeType, mayContain, OPEN_XML_SIGNATURE } from './containers.js';
import { canonicalType, hasSignature, isMarkup, isTextType, typeOfName } from './media-types.js';

/** What a signature is looked for in. More would let a crafted archive hold up the event loop for a tenth of a second. */
export const SIGNATURE_HEAD_BYTES = 256 * 1024;

export interface FileEvidence {
  declared: string | undefined;
  filename: string;
  /** From `detectSignature`. */
  signature: string | null;
  isText: boolean;
  isEmpty: boolean;
}

/**
 * The type that the first bytes tell, `null` when they tell none.
 *
 * An office document is a zip archive. OpenDocument has to begin with an entry `mimetype`, and Word, Excel, PowerPoint begin with
 * `[Content_Types].xml`: both are told within the head. LibreOffice and openpyxl write `[Content_Types].xml` last, which in a large
 * document is beyond any head, and file-type sees no more than a zip. Their first entry is one that only such documents begin with.
 */
export async function detectSignature(bytes: Buffer): Promise<string | null> {
  const head = bytes.subarray(0, SIGNATURE_HEAD_BYTES);
  const found = await fileTypeFromBuffer(head).catch(() => undefined);
  const signature = found ? canonicalType(found.mime) : null;
  if (signature === 'application/zip' && beginsLikeOpenXml(head)) return OPEN_XML_SIGNATURE;
  // file-type gives up on an image whose directory lies at its end.
  if (signature === null && /^(II\*\0|MM\0\*)/.test(head.toString('latin1', 0, 4))) return 'image/tiff';
  return signature;
}

/** The name of the first entry follows the 30 bytes of its header. */
const beginsLikeOpenXml = (head: Buffer) => /^(_rels|docProps|word|xl|ppt)\//.test(head.toString('latin1', 30, 40));

/**
 * Refuses what is not allowed whatever the content turns out to be: a file is stored as the type that its name claims, or else the declared
 * one, and content that bears out neither is refused as well.
 * @throws FileTypeNotAllowedError
 */
export function refuseEarly(declared: string | undefined, filename: string, allowed: readonly string[]): void {
  const claim = typeOfName(filename) ?? typeOfDeclaration(declared);
  if (claim) ensureAllowed(claim, allowed);
}

/**
 * The type to store. The name's claim goes before the declared one, which browsers take from the name themselves, by the lights of their
 * system; what both leave open, the content decides.
 * @throws FileTypeNotAllowedError, FileTypeMismatchError
 */
export function resolveType(evidence: FileEvidence, allowed: readonly string[]): string {
  const named = typeOfName(evidence.filename);
  const declared = typeOfDeclaration(evidence.declared);
  const claim = named ?? declared;
  const content = contentOf(evidence, [named, declared]);
  const type = claim ?? (evidence.isEmpty ? 'text/plain' : typeByContent(content));
  ensureAllowed(type, allowed);
  if (evidence.isEmpty || !claim) return type;
  const isDeclarationTrue = declared === null || declared === type || agrees(declared, type, content);
  if (!isBorneOut(type, content) || !isDeclarationTrue) throw new FileTypeMismatchError();
  return type;
}

const TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/;
const TYPE_LENGTH_MAX = 127;

/**
 * Declarations that say nothing: what programs send when they do not know; what the part of a form means that declares no type (RFC 7578,
 * 4.4), so that parsers fill it in; and what browsers call TypeScript.
 */
const SAYING_NOTHING: ReadonlySet<string> = new Set([
  'application/octet-stream',
  'binary/octet-stream',
  'application/x-unknown',
  'text/plain',
  'video/mp2t',
  'video/vnd.dlna.mpeg-tts',
]);

function typeOfDeclaration(declared: string | undefined): string | null {
  const type = canonicalType(declared ?? '');
  const isClaim = TYPE.test(type) && type.length <= TYPE_LENGTH_MAX && !SAYING_NOTHING.has(type);
  return isClaim ? type : null;
}

interface Content {
  signature: string | null;
  isText: boolean;
}

/** Formats that are text throughout and cannot be mistaken for other text. */
const TEXT_SIGNATURES: ReadonlySet<string> = new Set(['application/xml', 'application/pdf', 'application/rtf']);

/** Many signatures are a few letters (`BM`, `MZ`, `FORM`, `free` as the second word): in a text they count only when somebody claims them. */
function contentOf({ signature, isText }: FileEvidence, claims: readonly (string | null)[]): Content {
  const isWords = isText && signature !== null && !TEXT_SIGNATURES.has(signature) && !claims.includes(signature);
  return { signature: isWords ? null : signature, isText };
}

function typeByContent({ signature, isText }: Content): string {
  if (signature === OPEN_XML_SIGNATURE) return 'application/zip';
  return signature ?? (isText ? 'text/plain' : 'application/octet-stream');
}

/** Whether the content may be what a claim says. */
function isBorneOut(claim: string, { signature, isText }: Content): boolean {
  if (signature !== null) return signature === claim || mayContain(signature, claim);
  if (isTextType(claim)) return isText;
  return !hasSignature(claim) && !isOfficeType(claim);
}

/** Whether a declaration goes with another type that the file is stored as. */
function agrees(declared: string, type: string, content: Content): boolean {
  if (content.isText && isTextType(type)) {
    // Texts stand for each other, but for what a browser would show as a document. Windows declares a CSV file an Excel sheet.
    if (isTextType(declared)) return isMarkup(type) || !isMarkup(declared);
    return type === 'text/csv' && declared === 'application/vnd.ms-excel';
  }
  return !isOfficeType(declared) && isBorneOut(declared, content);
}

/** @throws FileTypeNotAllowedError */
function ensureAllowed(type: string, allowed: readonly string[]): void {
  const patterns = ['*', '*/*', `${type.split('/')[0]}/*`, type];
  if (!allowed.some((entry) => patterns.includes(canonicalType(entry)))) throw new FileTypeNotAllowedError();
}
