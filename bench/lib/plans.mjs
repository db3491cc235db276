/** A plan in one line: its nodes from the top down, with what each read, and the time that all took. */
export function describePlan({ milliseconds, Plan }) {
  return `${milliseconds.toFixed(1)} ms: ${describeNode(Plan)}`;
}

function describeNode(node) {
  const target = node['Index Name'] ?? node['Relation Name'];
  const facts = [
    `${node['Actual Rows'] * node['Actual Loops']} rows`,
    node['Heap Fetches'] > 0 && `${node['Heap Fetches']} heap fetches`,
    node['Rows Removed by Filter'] > 0 && `${node['Rows Removed by Filter'] * node['Actual Loops']} filtered out`,
  ];
  const name = `${node['Node Type']}${target ? ` ${target}` : ''} (${facts.filter(Boolean).join(', ')})`;
  const inner = (node.Plans ?? []).map(describeNode);
  if (inner.length === 0) return name;
  return `${name} > ${inner.length === 1 ? inner[0] : `[${inner.join(' + ')}]`}`;
}

/** Blocks of 8 kB that a plan touched, in the cache or not. */
export const blocksOf = ({ Plan }) => (Plan['Shared Hit Blocks'] ?? 0) + (Plan['Shared Read Blocks'] ?? 0);

export const scansWhole = (node, table) =>
  (node['Node Type'] === 'Seq Scan' && node['Relation Name'] === table) ||
  (node.Plans ?? []).some((inner) => scansWhole(inner, table));
