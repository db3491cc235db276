import { ROLES, type Role } from '../../common/auth/role.js';
import { isId } from '../../common/validation/id.pipe.js';

/** Who may read a channel follows from its name. */
export const CHANNEL_KINDS = ['plain', 'private-user', 'private-role', 'private', 'presence'] as const;
export type ChannelKind = (typeof CHANNEL_KINDS)[number];

export const CHANNEL_NAME_PATTERN = /^[A-Za-z0-9_.:-]{1,128}$/;

const PREFIXES = [
  ['private-user.', 'private-user'],
  ['private-role.', 'private-role'],
  ['private-', 'private'],
  ['presence-', 'presence'],
] as const;

export interface ChannelName {
  readonly name: string;
  readonly kind: ChannelKind;
  /** What follows the prefix: a user's id, a role, or the rest of the name. */
  readonly subject: string;
}

/** `null` for what is no channel's name, `private-user.` of something that is no id included. */
export function parseChannelName(name: string): ChannelName | null {
  if (!CHANNEL_NAME_PATTERN.test(name)) return null;
  const [prefix, kind] = PREFIXES.find(([start]) => name.startsWith(start)) ?? ['', 'plain' as const];
  const subject = name.slice(prefix.length);
  if (subject === '') return null;
  // One user has one channel: an id in capitals would be another name for nobody.
  if (kind === 'private-user' && (!isId(subject) || subject !== subject.toLowerCase())) return null;
  if (kind === 'private-role' && !ROLES.includes(subject as Role)) return null;
  return { name, kind, subject };
}

export const userChannel = (userId: string): string => `private-user.${userId}`;
export const roleChannel = (role: Role): string => `private-role.${role}`;
