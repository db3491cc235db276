import type { GatehouseError } from '../errors.js';
import type { CallOptions, Transport } from '../http/transport.js';
import type { HealthReport, Liveness } from '../types.js';

/** How the server is. */
export class Health {
  /** @internal */
  constructor(private readonly transport: Transport) {}

  /** Whether the process answers; nothing else is asked. */
  live(options?: CallOptions): Promise<Liveness> {
    return this.transport.json({ method: 'GET', path: '/health', isAuthenticated: false, ...options });
  }

  /** How its parts are. `unhealthy` is an answer, not an error. */
  status(options?: CallOptions): Promise<HealthReport> {
    return this.transport.json({
      method: 'GET',
      path: '/api/v1/health',
      isAuthenticated: false,
      accepts: isReport,
      ...options,
    });
  }

  /** Prometheus' text, for `token`: the server's METRICS_TOKEN. Without one set, the server answers its own machine only. */
  metrics({ token, ...options }: CallOptions & { token?: string } = {}): Promise<string> {
    return this.transport.text({
      method: 'GET',
      path: '/metrics',
      isAuthenticated: false,
      headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
      ...options,
    });
  }
}

/** A proxy before a server that is away answers 503 as well. */
function isReport({ code, body }: GatehouseError): boolean {
  return code === 'http_503' && typeof (body as Partial<HealthReport> | null)?.status === 'string';
}
