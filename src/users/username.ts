import { randomInt } from 'node:crypto';

const MIN = 3;
const MAX = 50;

/** A username for someone who chose none: what the email's local part allows of it. */
export function usernameFrom(email: string): string {
  const base = email
    .split('@')[0]
    .toLowerCase()
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^A-Za-z0-9_]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .slice(0, MAX);
  return base.length >= MIN ? base : `user_${base}`.replace(/_$/, '');
}

/** Another one, for when the first is taken. */
export function withRandomSuffix(username: string): string {
  const suffix = `_${randomInt(10 ** 6, 10 ** 7)}`;
  return username.slice(0, MAX - suffix.length) + suffix;
}
