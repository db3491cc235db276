import { Global, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { HitCounters } from '../common/limits/hit-counters.js';
import { AppConfig } from '../config/app-config.js';
import { LocalHitCounters } from './local-hit-counters.js';
import { RedisCountingPlace } from './redis-counting-place.js';
import { SharedHitCounters } from './shared-hit-counters.js';

const PLACE = Symbol('where limits are counted together; null: nowhere');

/** What the processes of one installation have in common beside the database. */
@Global()
@Module({
  providers: [
    {
      provide: PLACE,
      inject: [AppConfig],
      useFactory: ({ redisUrl }: AppConfig) => (redisUrl === null ? null : new RedisCountingPlace(redisUrl)),
    },
    {
      provide: HitCounters,
      inject: [PLACE],
      useFactory: (place: RedisCountingPlace | null) => (place ? new SharedHitCounters(place) : new LocalHitCounters()),
    },
  ],
  exports: [HitCounters],
})
export class CoordinationModule implements OnApplicationShutdown {
  constructor(@Inject(PLACE) private readonly place: RedisCountingPlace | null) {}

  onApplicationShutdown(): void {
    this.place?.close();
  }
}
