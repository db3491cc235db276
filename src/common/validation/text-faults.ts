import type { ShapeFault } from '../errors/app-error.js';

type Path = (string | number)[];

/** class-transformer leaves these keys out without a word; they are unknown fields like any other. */
const RESERVED_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const FAULTS_MAX = 20;

/**
 * Finds what must go no further, at any depth: keys that would reach a prototype, and text that PostgreSQL cannot store
 * (`\u0000`, half a surrogate pair). Walks with a list of its own, so that depth costs no stack, and stops when it has found enough.
 */
export function findTextFaults(root: object, at: Path): ShapeFault[] {
  const faults: ShapeFault[] = [];
  const pending: [object, Path][] = [[root, at]];
  for (let next = pending.pop(); next && faults.length < FAULTS_MAX; next = pending.pop()) {
    const [object, path] = next;
    const isList = Array.isArray(object);
    const keys = isList ? null : Object.keys(object);
    const values: unknown[] = isList ? object : Object.values(object);
    for (let i = 0; i < values.length && faults.length < FAULTS_MAX; i++) {
      const key = keys ? keys[i] : i;
      const value = values[i];
      const fault = faultOf(key, value);
      if (fault) faults.push({ loc: [...path, key], ...fault });
      else if (typeof value === 'object' && value !== null) pending.push([value, [...path, key]]);
    }
  }
  return faults;
}

function faultOf(key: string | number, value: unknown): Omit<ShapeFault, 'loc'> | null {
  if (typeof key === 'string') {
    if (RESERVED_KEYS.has(key)) return { msg: 'extra fields not permitted', type: 'value_error.extra' };
    if (!isStorable(key)) return { msg: 'the name of a field is not valid text', type: 'value_error.text' };
  }
  if (typeof value !== 'string' || isStorable(value)) return null;
  return { msg: 'must not contain NUL or broken Unicode', type: 'value_error.text' };
}

const isStorable = (text: string) => text.isWellFormed() && !text.includes('\0');
