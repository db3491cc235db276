import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { Busboy, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy';
import { MalformedRequestError } from '../../common/errors/errors.js';
import { MalformedMultipartError, NotAFileError, SeveralFilesError, UnexpectedFieldError } from '../uploads.errors.js';

export interface FilePart {
  readonly stream: Readable;
  readonly filename: string | undefined;
  readonly declaredType: string;
}

export const FILE_FIELD = 'file';

/** An upload has a file and a description; what goes far beyond is no form of ours. */
const LIMITS = { fields: 10, parts: 12, fieldSize: 16 * 1024, headerPairs: 20, headerSize: 8 * 1024 };
/** What the parser hands over before it holds up the sender. */
const FILE_BUFFER_BYTES = 64 * 1024;

/**
 * Reads a multipart/form-data body (RFC 7578), handing its one file to `takeFile` while it comes. Resolves with the other fields when both
 * body and file are done; rejects with the first thing that went wrong, `interrupted` included, and takes no more bytes then.
 */
export function readMultipart(
  request: IncomingMessage,
  takeFile: (part: FilePart) => Promise<void>,
  interrupted: Promise<never>,
): Promise<Record<string, string>> {
  return new Promise((resolve, reject) => {
    const parser = openParser(request);
    const fields: Record<string, string> = Object.create(null) as Record<string, string>;
    let file: Promise<void> | null = null;
    let part: Readable | null = null;

    const fail = (error: unknown) => {
      request.unpipe(parser);
      // What is cut off here may complain about it later.
      part?.destroy();
      parser.removeAllListeners().on('error', () => undefined);
      // Whoever cleans up finds nothing half opened.
      void Promise.resolve(file)
        .then(undefined, () => undefined)
        .then(() => reject(error as Error));
    };
    const malformed = () => fail(new MalformedMultipartError());

    parser.on(
      'file',
      (
        name: string | undefined,
        stream: Readable,
        filename: string | undefined,
        _encoding: string,
        declaredType: string,
      ) => {
        // Told by `takeFile` or by the parser as well, who know why.
        stream.on('error', () => undefined);
        if (name === undefined) return malformed();
        if (name !== FILE_FIELD) return fail(new UnexpectedFieldError(name));
        if (file) return fail(new SeveralFilesError());
        part = stream;
        file = takeFile({ stream, filename, declaredType });
        file.catch(fail);
      },
    );
    parser.on('field', (name: string, value: string, _isNameCut: boolean, isValueCut: boolean) => {
      if (name === FILE_FIELD) return fail(new NotAFileError());
      // The parser puts it where bytes are no UTF-8.
      if (value.includes('\uFFFD'))
        return fail(new MalformedRequestError('The form is not valid UTF-8', 'invalid_utf8'));
      if (isValueCut || name === undefined || name in fields) return malformed();
      fields[name] = value;
    });
    for (const limit of ['partsLimit', 'fieldsLimit', 'filesLimit'] as const) parser.on(limit, malformed);
    parser.on('error', malformed);
    parser.on('finish', () => void Promise.resolve(file).then(() => resolve(fields), fail));
    interrupted.catch(fail);
    request.pipe(parser);
  });
}

function openParser(request: IncomingMessage): BusboyInstance {
  try {
    return new Busboy({
      headers: request.headers as BusboyHeaders,
      limits: LIMITS,
      fileHwm: FILE_BUFFER_BYTES,
      // A part with a name is a file whatever its type: `description` without a filename is a field.
      isPartAFile: (_field, _type, filename) => filename !== undefined,
    });
  } catch {
    throw new MalformedMultipartError();
  }
}
