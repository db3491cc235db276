import { formatTable, readResult } from './report.mjs';
import { brief } from './summary.mjs';

/** Rates and costs with more processes, in those of one, from the last `bench:scale`. */
export function describeCrews() {
  const rows = ['scale-workers', 'scale-nodes'].flatMap((name) => rowsOf(readResult(name)?.results ?? []));
  if (rows.length === 0) return 'Nothing has been measured here yet.';
  const head = ['load', 'with', 'rate', 'Node and primary', 'PostgreSQL', 'Redis', 'nginx'];
  return `In what one of them has: its rate, and its processor time for each request, message or delivery.\n\n${formatTable(head, rows)}`;
}

function rowsOf(results) {
  return results.flatMap((one) => {
    const first = results.find(({ load }) => load === one.load);
    if (one === first) return [];
    const [cpu, reference] = [one.cpu, first.cpu];
    const kinds = ['database', 'redis', 'nginx'].map((kind) => times(cpu[kind], reference[kind]));
    return [[one.load, one.name, `× ${brief(one.ratio)}`, times(nodeOf(cpu), nodeOf(reference)), ...kinds]];
  });
}

const nodeOf = ({ node, primary = 0 }) => node + primary;

/** Blank where there is none of that kind; what took no hundredth of a second has no ratio. */
function times(value, reference) {
  if (value === undefined) return '';
  return reference > 0 ? `× ${brief(value / reference)}` : '–';
}
