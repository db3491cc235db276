import type { Present } from './types.js';

/** Who is present in a channel, as far as one has been told. */
export class PresenceList {
  private users: readonly Present[] = [];
  private isKnown = false;

  constructor(private readonly tell: (change: 'joined' | 'left', user: Present) => void) {}

  get all(): readonly Present[] {
    return this.users;
  }

  /** The whole list. Whoever came or went while nobody could tell is told now, but not about the first list. */
  replace(users: readonly Present[]): void {
    const before = this.users;
    this.users = users;
    if (this.isKnown) {
      for (const user of before) if (!includes(users, user)) this.tell('left', user);
      for (const user of users) if (!includes(before, user)) this.tell('joined', user);
    }
    this.isKnown = true;
  }

  joined(user: Present): void {
    if (includes(this.users, user)) return;
    this.users = [...this.users, user];
    this.tell('joined', user);
  }

  /** Of very many, not all are in the list. */
  left(user: Present): void {
    this.users = this.users.filter(({ id }) => id !== user.id);
    this.tell('left', user);
  }
}

const includes = (users: readonly Present[], { id }: Present) => users.some((user) => user.id === id);
