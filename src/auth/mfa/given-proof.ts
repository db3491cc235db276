import { ValidationFailedError } from '../../common/errors/errors.js';
import type { SecondProofDto } from './dto/mfa.dto.js';
import { eitherProof, type Proof, recoveryProof } from './proof.js';

const NEITHER = { message: 'either code or recovery_code is required', type: 'value_error.missing' };
const BOTH = { message: 'give code or recovery_code, not both', type: 'value_error.ambiguous' };

/**
 * People type a recovery code where the code of the app is asked for, so `code` takes both.
 * @throws ValidationFailedError for neither and for both
 */
export function proofOf({ code, recovery_code: recoveryCode }: SecondProofDto): Proof {
  if (code !== undefined && recoveryCode !== undefined) throw refusal(BOTH);
  if (code !== undefined) return eitherProof(code);
  if (recoveryCode !== undefined) return recoveryProof(recoveryCode);
  throw refusal(NEITHER);
}

function refusal({ message, type }: typeof BOTH): ValidationFailedError {
  const fields = ['code', 'recovery_code'];
  return new ValidationFailedError(
    fields.map((field) => ({ loc: ['body', field], msg: message, type })),
    Object.fromEntries(fields.map((field) => [field, [message]])),
  );
}
