import { AppError, type FieldErrors, type ShapeFault } from './app-error.js';
import { STATUS_OF } from './status.js';

/** The one body that every error has, over HTTP and in a socket's acknowledgement. */
export interface ErrorBody {
  detail: string | ShapeFault[];
  status: 'error';
  code: number;
  error_code: string;
  field_errors?: FieldErrors;
  request_id: string;
}

export function errorBody(error: AppError, requestId: string): ErrorBody {
  const { shape, fieldErrors } = error.details;
  return {
    detail: shape ?? error.message,
    status: 'error',
    code: STATUS_OF[error.kind],
    error_code: error.code,
    ...(fieldErrors && { field_errors: fieldErrors }),
    request_id: requestId,
  };
}
