import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { NodeService } from '../presence/node.service.js';
import { Publisher } from './publisher.js';

export const MESSAGES_TOPIC = 'gatehouse_messages';
/** PostgreSQL takes payloads of less than 8,000 bytes. */
const PAYLOAD_MAX = 7_900;

/**
 * Tells the other nodes which channels have moved, after the commit: a notification within it would put all commits of all nodes in one
 * queue. Many messages make one announcement; one that is lost is made up for by `Feeds`, which compares sequences.
 */
@Injectable()
export class Announcer {
  private readonly logger = new Logger(Announcer.name);
  private readonly moved = new Set<string>();
  private isAnnouncing = false;

  constructor(
    @InjectDataSource() private readonly database: DataSource,
    private readonly node: NodeService,
    publisher: Publisher,
  ) {
    publisher.onCommit(({ message }) => this.announce(message.channel));
  }

  announce(channel: string): void {
    this.moved.add(channel);
    if (!this.isAnnouncing) void this.work();
  }

  private async work(): Promise<void> {
    this.isAnnouncing = true;
    await new Promise((resolve) => setImmediate(resolve));
    while (this.moved.size > 0) {
      const payloads = toPayloads(this.node.id, this.moved);
      this.moved.clear();
      try {
        await this.database.query(`SELECT pg_notify('${MESSAGES_TOPIC}', payload) FROM unnest($1::text[]) payload`, [
          payloads,
        ]);
      } catch (error) {
        this.logger.warn(`Other nodes will notice new messages by themselves: ${(error as Error).message}`);
      }
    }
    this.isAnnouncing = false;
  }
}

/** The sender and the names of channels, with spaces between, which no name has. */
function toPayloads(sender: string, channels: Iterable<string>): string[] {
  const payloads: string[] = [];
  for (const channel of channels) {
    const last = payloads.at(-1);
    if (last !== undefined && last.length + channel.length < PAYLOAD_MAX)
      payloads[payloads.length - 1] = `${last} ${channel}`;
    else payloads.push(`${sender} ${channel}`);
  }
  return payloads;
}

export function readAnnouncement(payload: string): { sender: string; channels: string[] } {
  const [sender, ...channels] = payload.split(' ');
  return { sender, channels };
}
