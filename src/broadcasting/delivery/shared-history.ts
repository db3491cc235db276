import { Injectable } from '@nestjs/common';
import { type HistoryPage, MessageLog, type PageSize } from '../log/message-log.js';

/**
 * After a restart many come back to the same channel from the same place: those who ask while the log is being read share the answer. It
 * may be a little older than the question; `Replay` reads on from where it ends.
 */
@Injectable()
export class SharedHistory {
  private readonly reading = new Map<string, Promise<HistoryPage>>();

  constructor(private readonly log: MessageLog) {}

  read(channel: string, after: number, size: PageSize): Promise<HistoryPage> {
    const key = `${channel} ${after}`;
    let page = this.reading.get(key);
    if (!page) {
      page = this.log.read(channel, after, size);
      this.reading.set(key, page);
      const forget = () => this.reading.delete(key);
      page.then(forget, forget);
    }
    return page;
  }
}
