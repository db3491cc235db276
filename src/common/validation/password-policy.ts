import { dictionary } from '@zxcvbn-ts/language-common';

const MIN_LENGTH = 8;
const MAX_LENGTH = 512;
/** From this length on a password is a passphrase, and the three classes are not asked for. */
const PASSPHRASE_LENGTH = 16;

/** Passwords that guessers try first, in lower case: `Passw0rd` is as common as `passw0rd`. */
const COMMON_PASSWORDS: ReadonlySet<string> = new Set(dictionary['passwords-common'].map((word) => String(word)));

/** The rules that a new password breaks, as sentences; none when it is good. */
export function brokenPasswordRules(password: string, identity: { email: string; username?: string | null }): string[] {
  const length = [...password].length;
  const hasClasses = length >= PASSPHRASE_LENGTH;
  const lower = password.toLowerCase();
  const identities = [identity.email, identity.email.split('@')[0], identity.username];
  const rules: [isBroken: boolean, sentence: string][] = [
    [length < MIN_LENGTH, `Password must be at least ${MIN_LENGTH} characters long`],
    [length > MAX_LENGTH, `Password must be at most ${MAX_LENGTH} characters long`],
    [!hasClasses && !/\p{Lu}/u.test(password), 'Password must contain an upper-case letter'],
    [!hasClasses && !/\p{Ll}/u.test(password), 'Password must contain a lower-case letter'],
    [!hasClasses && !/\p{Nd}/u.test(password), 'Password must contain a digit'],
    [COMMON_PASSWORDS.has(lower), 'Password is too common'],
    [identities.some((known) => known?.toLowerCase() === lower), 'Password must not be the email address or username'],
  ];
  return rules.filter(([isBroken]) => isBroken).map(([, sentence]) => sentence);
}
