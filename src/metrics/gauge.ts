import { Gauge, type Registry } from 'prom-client';
import { withTimeout } from '../common/limits/with-timeout.js';

/** Values by the one label. */
export type ByLabel = Readonly<Record<string, number>>;

interface Reading {
  readonly name: string;
  readonly help: string;
  /** What the values of several workers are together; their sum by default. */
  readonly aggregator?: 'sum' | 'max' | 'min';
}

/** A gauge that is read when somebody asks. What cannot be read is missing from the answer, which does not fail for it. */
export function addGauge(
  registry: Registry,
  { name, help, aggregator = 'sum' }: Reading,
  read: () => number | Promise<number>,
): void {
  new Gauge({
    name,
    help,
    aggregator,
    registers: [registry],
    async collect() {
      try {
        this.set(await read());
      } catch {
        this.remove();
      }
    },
  });
}

/** The same with a label; a value of the label that is no longer read is gone. */
export function addLabelledGauge(
  registry: Registry,
  { name, help, aggregator = 'sum', label }: Reading & { readonly label: string },
  read: () => ByLabel | Promise<ByLabel>,
): void {
  new Gauge({
    name,
    help,
    aggregator,
    labelNames: [label],
    registers: [registry],
    async collect() {
      const values = await Promise.resolve()
        .then(read)
        .catch(() => ({}));
      this.reset();
      for (const [of, value] of Object.entries(values)) this.set({ [label]: of }, value);
    },
  });
}

/** Whoever asks waits no longer than this for a part that does not answer. */
const ANSWER_MS = 1_000;

/** For what the database has to be asked: one question at a time, so that a database that hangs does not collect them. */
export function impatiently<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | null = null;
  return () => {
    asked ??= ask().finally(() => (asked = null));
    return withTimeout(asked, ANSWER_MS);
  };
}
