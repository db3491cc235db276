import { ValidationFailedError } from '../../common/errors/errors.js';

const NAME = 'Last-Event-ID';
const MESSAGE = `${NAME} must be a sequence`;

/** The sequence that a client has come to; an empty one says nothing (WHATWG HTML, section 9.2). @throws ValidationFailedError */
export function parseLastEventId(header: string | undefined): number | undefined {
  if (header === undefined || header === '') return undefined;
  if (/^\d{1,15}$/.test(header)) return Number(header);
  throw new ValidationFailedError([{ loc: ['header', NAME], msg: MESSAGE, type: 'type_error.integer' }], {
    [NAME]: [MESSAGE],
  });
}
