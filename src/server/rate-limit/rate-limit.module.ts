import { Module } from '@nestjs/common';
import { ThrottlerModule } from '@nestjs/throttler';
import { AuthModule } from '../../auth/auth.module.js';
import { HitCounters } from '../../common/limits/hit-counters.js';
import { AppConfig } from '../../config/app-config.js';
import { HitCounterStorage } from './hit-counter.storage.js';
import { RateLimiter, type Throttler } from './rate-limiter.js';

@Module({
  imports: [
    AuthModule,
    ThrottlerModule.forRootAsync({
      inject: [AppConfig, HitCounters],
      useFactory: ({ rateLimits }: AppConfig, counters: HitCounters) => ({
        storage: new HitCounterStorage(counters),
        throttlers: (['credentials', 'anonymous', 'user', 'userHourly', 'uploads', 'admin'] satisfies Throttler[]).map(
          (name) => ({
            name,
            limit: rateLimits[name].count,
            ttl: rateLimits[name].seconds * 1000,
          }),
        ),
      }),
    }),
  ],
  providers: [RateLimiter],
  exports: [RateLimiter],
})
export class RateLimitModule {}
