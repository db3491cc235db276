import { Injectable, Logger } from '@nestjs/common';
import { withTimeout } from '../common/limits/with-timeout.js';
import { StorageService } from '../uploads/storage/storage.service.js';
import { PoolerProbe } from '../database/pooler-probe.js';
import { type PreparedStatement, PreparedStatements } from '../database/prepared-statements.js';

export type Condition = 'healthy' | 'unhealthy';

/** Asked on the way of the access check, which is what has to work, and past a pool that slow queries may have taken. */
const PROBE: PreparedStatement = { name: 'probe', text: 'SELECT 1' };
const PROBE_TIMEOUT_MS = 2_000;
/** One probe serves all who ask at about the same time, so that asking often costs the database nothing. */
const REUSE_MS = 1_000;

@Injectable()
export class HealthService {
  private readonly logger = new Logger(HealthService.name);
  private probe: { result: Promise<Condition>; startedAt: number } | null = null;

  private storageWas: Condition = 'healthy';

  constructor(
    private readonly statements: PreparedStatements,
    private readonly pooler: PoolerProbe,
    private readonly files: StorageService,
  ) {}

  database(): Promise<Condition> {
    const now = Date.now();
    if (!this.probe || now - this.probe.startedAt > REUSE_MS)
      this.probe = { result: this.probeDatabase(), startedAt: now };
    return this.probe.result;
  }

  /** Anybody may ask, as often as they like: the log tells when it changes. */
  async storage(): Promise<Condition> {
    const before = this.storageWas;
    try {
      await this.files.probe();
      this.storageWas = 'healthy';
      if (before === 'unhealthy') this.logger.log('The storage is healthy again');
    } catch (error) {
      this.storageWas = 'unhealthy';
      if (before === 'healthy')
        this.logger.warn(`The storage is unhealthy: ${error instanceof Error ? error.message : String(error)}`);
    }
    return this.storageWas;
  }

  private async probeDatabase(): Promise<Condition> {
    try {
      await withTimeout(Promise.all([this.statements.first(PROBE, []), this.pooler.check()]), PROBE_TIMEOUT_MS);
      return 'healthy';
    } catch (error) {
      this.logger.warn(`The database is unhealthy: ${error instanceof Error ? error.message : String(error)}`);
      return 'unhealthy';
    }
  }
}
