import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { SessionsService } from '../../auth/sessions/sessions.service.js';
import { DatabaseListener } from '../../database/database-listener.js';
import type { EndReason } from '../delivery/subscriber.js';
import { type LiveConnection, LiveConnections } from './live-connections.js';

const TOPIC = 'gatehouse_access';
/** A handshake takes less; what was announced before it began is in the database's answer to it. */
const REMEMBERED_MS = 60_000;
const RECHECKED_AT_ONCE = 1_000;
/** Whoever could not be checked for so long has to come back, and is checked then. */
const RECHECK_ATTEMPTS = 15;
const RECHECK_PAUSE_MS = 1_000;

/** The reasons by which the database announces an end. What says more about it goes first when one change has several. */
const REASONS: Record<string, EndReason> = {
  'user-deleted': 'account_deleted',
  'user-disabled': 'account_disabled',
  'user-role': 'role_changed',
  session: 'logged_out',
  'api-key': 'api_key_revoked',
};
const PRECEDENCE = Object.keys(REASONS);
/** They concern what rests on that session or key alone. */
const OF_ONE_CREDENTIAL: ReadonlySet<string> = new Set(['session', 'api-key']);

interface Change {
  readonly what: string;
  readonly userId: string;
  /** A session's or key's id, a channel's name. */
  readonly subject: string;
}

type MembershipListener = (userId: string, channel: string) => void;

/**
 * Ends live connections when what they rest on ends: logout, disabling, deletion, another role, wherever and however that was done. The
 * database announces it in the commit of the change (`migrations/1763700009000-announce-access-changes.ts`), to every node.
 */
@Injectable()
export class AccessChanges {
  private readonly logger = new Logger(AccessChanges.name);
  private readonly membershipListeners: MembershipListener[] = [];
  private readonly resyncListeners: (() => Promise<void>)[] = [];
  private arrived: Change[] = [];
  /** What was announced lately, in its order, for connections that were still being let in. */
  private remembered: (Change & { readonly at: number; readonly mark: number })[] = [];
  private lastMark = 0;
  private resyncMark = 0;

  constructor(
    private readonly connections: LiveConnections,
    private readonly sessions: SessionsService,
    listener: DatabaseListener,
  ) {
    listener.on(TOPIC, (payload) => this.receive(payload));
    listener.onResync(() => this.resync());
  }

  onMembershipLost(listener: MembershipListener): void {
    this.membershipListeners.push(listener);
  }

  /** Called when announcements may have been missed, and again if it fails. */
  onResync(listener: () => Promise<void>): void {
    this.resyncListeners.push(listener);
  }

  /** To be taken before credentials are checked, and given to `follow()` with the connection that they let in. */
  mark(): number {
    return this.lastMark;
  }

  /** Ends the connection at once if what it rests on has ended since the mark. */
  follow(connection: LiveConnection, mark: number): void {
    const missed = this.remembered.filter((change) => change.mark > mark);
    const reason = PRECEDENCE.find((what) =>
      missed.some((change) => change.what === what && concerns(change, connection)),
    );
    if (reason) this.end(reason, [connection]);
    else if (mark < this.resyncMark) void this.recheck([connection]);
  }

  /** The notifications of one commit come together; they are looked at together. */
  private receive(payload: string): void {
    const [what, userId, ...subject] = payload.split(':');
    this.arrived.push({ what, userId, subject: subject.join(':') });
    if (this.arrived.length === 1) setImmediate(() => this.apply());
  }

  private apply(): void {
    const changes = this.arrived.sort((a, b) => PRECEDENCE.indexOf(a.what) - PRECEDENCE.indexOf(b.what));
    this.arrived = [];
    const now = Date.now();
    const mark = ++this.lastMark;
    this.remembered = this.remembered.filter(({ at }) => at > now - REMEMBERED_MS);
    this.remembered.push(...changes.map((change) => ({ ...change, at: now, mark })));
    for (const change of changes) {
      if (change.what === 'member') for (const lost of this.membershipListeners) lost(change.userId, change.subject);
      else this.end(change.what, this.concernedBy(change));
    }
  }

  /** A role may have been announced late, to a connection that rests on it already: only the database knows. */
  private end(what: string, connections: LiveConnection[]): void {
    if (what === 'user-role') void this.recheck(connections);
    else for (const connection of connections) connection.end(REASONS[what]);
  }

  private concernedBy(change: Change): LiveConnection[] {
    return this.connections.ofUser(change.userId).filter((connection) => concerns(change, connection));
  }

  private resync(): void {
    this.resyncMark = ++this.lastMark;
    void this.recheck([...this.connections.all()]);
    for (const listener of this.resyncListeners) void this.persist(listener, () => this.connections.all());
  }

  private recheck(connections: LiveConnection[]): Promise<void> {
    return this.persist(
      () => this.check(connections),
      () => connections,
    );
  }

  /** What was missed is not known: a connection that cannot be checked is not left open. */
  private async persist(check: () => Promise<void>, concerned: () => Iterable<LiveConnection>): Promise<void> {
    for (let attempt = 1; attempt <= RECHECK_ATTEMPTS; attempt++) {
      try {
        return await check();
      } catch (error) {
        if (attempt === 1)
          this.logger.warn(`Live connections could not be checked, trying again: ${(error as Error).message}`);
        await delay(RECHECK_PAUSE_MS, undefined, { ref: false });
      }
    }
    this.logger.warn('Live connections that could not be checked have to come back');
    for (const connection of [...concerned()]) connection.end('subscription_failed');
  }

  /** Asks the database about every one of them. */
  private async check(connections: readonly LiveConnection[]): Promise<void> {
    for (let at = 0; at < connections.length; at += RECHECKED_AT_ONCE) {
      const some = connections.slice(at, at + RECHECKED_AT_ONCE);
      const roles = await this.sessions.rolesOf(some.map(({ claims }) => claims.sid));
      for (const connection of some) {
        const role = roles.get(connection.claims.sid);
        if (role === undefined) connection.end(connection.principal.apiKey ? 'api_key_revoked' : 'logged_out');
        else if (role !== connection.principal.role) connection.end('role_changed');
      }
    }
  }
}

function concerns({ what, userId, subject }: Change, { claims, principal }: LiveConnection): boolean {
  return what in REASONS && principal.id === userId && (!OF_ONE_CREDENTIAL.has(what) || claims.sid === subject);
}
