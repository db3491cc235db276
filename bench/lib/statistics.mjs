const ascending = (values) => [...values].sort((a, b) => a - b);

/** The smallest value that at least `share` of all do not exceed. */
export function quantile(values, share) {
  if (values.length === 0) return NaN;
  return ascending(values)[Math.max(0, Math.ceil(share * values.length) - 1)];
}

export function median(values) {
  const sorted = ascending(values);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const sum = (values) => values.reduce((total, value) => total + value, 0);
