import { Global, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { HitCounters } from '../common/limits/hit-counters.js';
import { AppConfig } from '../config/app-config.js';
import { LocalHitCounters } from './local-hit-counters.js';
import { SharedHitCounters, type SharedPlace } from './shared-hit-counters.js';
import { thisWorker } from './worker.js';

const PLACE = Symbol('where limits are counted together; null: nowhere');

/** The libraries are loaded where they are used: a tenth of a start would be spent on Redis' alone. */
async function openPlace(redisUrl: string | null): Promise<SharedPlace | null> {
  if (redisUrl !== null) return new (await import('./redis-counting-place.js')).RedisCountingPlace(redisUrl);
  return thisWorker() ? new (await import('./primary-counting-place.js')).PrimaryCountingPlace() : null;
}

/** What the processes of one installation have in common beside the database. */
@Global()
@Module({
  providers: [
    {
      provide: PLACE,
      inject: [AppConfig],
      useFactory: ({ redisUrl }: AppConfig) => openPlace(redisUrl),
    },
    {
      provide: HitCounters,
      inject: [PLACE],
      useFactory: (place: SharedPlace | null) => (place ? new SharedHitCounters(place) : new LocalHitCounters()),
    },
  ],
  exports: [HitCounters],
})
export class CoordinationModule implements OnApplicationShutdown {
  constructor(@Inject(PLACE) private readonly place: SharedPlace | null) {}

  onApplicationShutdown(): void {
    this.place?.close();
  }
}
