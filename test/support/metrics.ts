import type { TestApp } from './test-app.js';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: Sample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (\\S+)$`);
const NUMBER = /^(?:[+-]?Inf|Nan|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
const SUFFIXES: Record<string, string[]> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
};

/** The text format, read as strictly as its description has it; anything else throws. */
export class Metrics {
  readonly families = new Map<string, Family>();

  constructor(readonly text: string) {
    if (!text.endsWith('\n')) throw new Error('the last line does not end');
    let family: Family | null = null;
    let help: [name: string, text: string] | null = null;
    for (const line of text.slice(0, -1).split('\n')) {
      if (line === '') continue;
      const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
      if (kind === 'HELP') help = [name, rest];
      else if (kind === 'TYPE') family = this.begin(name, rest, help);
      else family = this.take(line, family);
    }
  }

  static async of(app: TestApp): Promise<Metrics> {
    const { text } = await app.http.get('/metrics').expect(200);
    return new Metrics(text);
  }

  /** The one value with exactly these labels; `undefined` when there is none. */
  get(name: string, labels: Record<string, string> = {}): number | undefined {
    const wanted = JSON.stringify(Object.entries(labels).sort());
    const found = this.samples().filter(
      (sample) => sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted,
    );
    if (found.length > 1) throw new Error(`${name}${wanted} is there ${found.length} times`);
    return found[0]?.value;
  }

  /** The same; 0 for a series that has not begun. */
  count(name: string, labels?: Record<string, string>): number {
    return this.get(name, labels) ?? 0;
  }

  samples(): Sample[] {
    return [...this.families.values()].flatMap(({ samples }) => samples);
  }

  /** Name and labels of every series. */
  series(): string[] {
    return this.samples().map(({ name, labels }) => `${name}${JSON.stringify(labels)}`);
  }

  private begin(name: string, type: string, help: [string, string] | null): Family {
    if (help?.[0] !== name) throw new Error(`${name} has no HELP before its TYPE`);
    if (this.families.has(name)) throw new Error(`${name} is there twice`);
    const family = { name, type, help: help[1], samples: [] };
    this.families.set(name, family);
    return family;
  }

  private take(line: string, family: Family | null): Family {
    const [, name, labels = '', value] = SAMPLE.exec(line) ?? [];
    if (!name || !NUMBER.test(value)) throw new Error(`no sample: ${line}`);
    const names = (SUFFIXES[family?.type ?? ''] ?? ['']).map((suffix) => `${family?.name}${suffix}`);
    if (!family || !names.includes(name)) throw new Error(`${name} is not of the metric before it`);
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label, text] as const);
    family.samples.push({ name, labels: Object.fromEntries(pairs), value: toNumber(value) });
    return family;
  }
}

const toNumber = (text: string) => Number(text.replace(/Inf$/, 'Infinity').replace('Nan', 'NaN'));
