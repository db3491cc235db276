import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AUDIT_ACTIONS } from '../../src/common/events/audit-event.js';

const text = readFileSync(join(__dirname, '../../docs/audit.md'), 'utf8');

describe('docs/audit.md', () => {
  it('explains every action, in the order of the list, and no other', () => {
    const section = text.slice(text.indexOf('## Actions'), text.indexOf('## What can be relied on'));
    const explained = [...section.matchAll(/^\| `([a-z_]+\.[a-z_]+)` +\| ([^|]+) \|/gm)];
    expect(explained.map(([, action]) => action)).toEqual([...AUDIT_ACTIONS]);
    expect(explained.filter(([, , meaning]) => meaning.trim() === '')).toEqual([]);
  });
});
