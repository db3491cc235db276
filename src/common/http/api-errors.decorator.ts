import { ApiExtension } from '@nestjs/swagger';

export const ERRORS_EXTENSION = 'x-errors';

/** The errors of a route that do not follow from its policy, body or path; the document writes them out. */
export const ApiErrors = (...statuses: number[]) => ApiExtension(ERRORS_EXTENSION, statuses);
