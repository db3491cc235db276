import { ForbiddenError } from '../common/errors/errors.js';

/** No token is configured, and the caller is not, or not surely, on this machine. */
export class MetricsLocalOnlyError extends ForbiddenError {
  constructor() {
    super('Metrics are for this machine alone; set METRICS_TOKEN to read them from elsewhere', 'metrics_local_only');
  }
}
