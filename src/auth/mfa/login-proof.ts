import { ValidationFailedError } from '../../common/errors/errors.js';
import type { VerifyMfaDto } from './dto/mfa.dto.js';
import { type Proof, recoveryProof, totpProof } from './proof.js';

/** @throws ValidationFailedError for neither and for both */
export function loginProof({ code, recovery_code: recoveryCode }: VerifyMfaDto): Proof {
  if (code !== undefined && recoveryCode === undefined) return totpProof(code);
  if (recoveryCode !== undefined && code === undefined) return recoveryProof(recoveryCode);
  const message = 'either code or recovery_code is required';
  throw new ValidationFailedError([{ loc: ['body', 'code'], msg: message, type: 'value_error.missing' }], {
    code: [message],
    recovery_code: [message],
  });
}
