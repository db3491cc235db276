import { encodeExtended, format } from 'content-disposition';

/**
 * `Content-Disposition` (RFC 6266) for a download: always an attachment, so that no browser shows what somebody uploaded. The name goes out
 * twice: `filename*` (RFC 8187) has it whole; `filename`, for clients that know no better, in ASCII and without what they read in
 * different ways (RFC 6266, appendix D: `%`, `\`).
 */
export function attachment(filename: string): string {
  const name = filename.toWellFormed();
  const parameters = { filename: name.replace(/[^\x20-\x7e]|["%\\]/gu, '_'), 'filename*': encodeExtended(name) };
  return format({ type: 'attachment', parameters }, { extended: false });
}
