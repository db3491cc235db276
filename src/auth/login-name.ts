import { ValidationFailedError } from '../common/errors/errors.js';
import type { LoginDto } from './dto/login.dto.js';

/** Either field may hold either kind of name; `username` wins when both are given. @throws ValidationFailedError for neither */
export function loginName(body: LoginDto): string {
  const name = body.username || body.email;
  if (!name) {
    const message = 'email or username is required';
    throw new ValidationFailedError([{ loc: ['body', 'email'], msg: message, type: 'value_error.missing' }], {
      email: [message],
      username: [message],
    });
  }
  return name.trim().normalize('NFC');
}
