/** What somebody shows besides the password. */
export interface Proof {
  readonly kind: 'totp' | 'recovery_code';
  readonly code: string;
}

/** What an app shows. */
export const TOTP_CODE = /^\d{6}$/;

/** Apps show their codes in groups, and people copy them so. */
export const totpProof = (code: string): Proof => ({ kind: 'totp', code: code.replace(/\s/g, '') });

export const recoveryProof = (code: string): Proof => ({ kind: 'recovery_code', code });

/** From a field that takes either: six digits are an app's code, and nothing else is. */
export function eitherProof(code: string): Proof {
  const proof = totpProof(code);
  return TOTP_CODE.test(proof.code) ? proof : recoveryProof(code);
}
