import { withTimeout } from '../../common/limits/with-timeout.js';
import type { VariableName } from '../../config/variables.js';

export type State = 'ok' | 'warning' | 'problem' | 'skipped';

export interface Finding {
  readonly state: State;
  readonly summary: string;
  /** What to do about it. */
  readonly advice?: string;
}

export interface Check {
  readonly name: string;
  /** Without which it would look at something else than the server does. */
  readonly variables?: readonly VariableName[];
  readonly timeoutMs?: number;
  run(): Promise<Finding | readonly Finding[]> | Finding | readonly Finding[];
}

export interface Result extends Finding {
  readonly check: string;
}

const TIMEOUT_MS = 15_000;

export const ok = (summary: string): Finding => ({ state: 'ok', summary });
export const warning = (summary: string, advice: string): Finding => ({ state: 'warning', summary, advice });
export const problem = (summary: string, advice: string): Finding => ({ state: 'problem', summary, advice });
export const skipped = (summary: string): Finding => ({ state: 'skipped', summary });

/** All at once, each within its own time; what one of them throws is its finding, and no other's. */
export async function runChecks(checks: readonly Check[], faulty: ReadonlySet<string>): Promise<Result[]> {
  const findings = await Promise.all(checks.map((check) => findingsOf(check, faulty)));
  return checks.flatMap(({ name }, at) => findings[at].map((finding) => ({ check: name, ...finding })));
}

async function findingsOf(check: Check, faulty: ReadonlySet<string>): Promise<readonly Finding[]> {
  const bad = check.variables?.filter((name) => faulty.has(name)) ?? [];
  if (bad.length > 0) return [skipped(`not looked at: ${bad.join(', ')} must be set right first`)];
  try {
    // Also what is thrown before there is a promise.
    const found = await withTimeout((async () => check.run())(), check.timeoutMs ?? TIMEOUT_MS);
    return Array.isArray(found) ? found : [found as Finding];
  } catch (error) {
    return [problem(reasonOf(error), 'See docs/command-line.md, or the log of the server.')];
  }
}

/** What an error says, in one line. Those of connections to several addresses say it within. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  const { message, code } = error as { message?: string; code?: string };
  return (message || code || String(error)).split('\n')[0];
}
