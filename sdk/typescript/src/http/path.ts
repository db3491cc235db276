/**
 * A path with its parameters escaped: path`/users/${id}`. What is no string leaves its place empty, which the transport refuses:
 * programs in JavaScript pass `undefined`, and `/users/undefined` would be asked for.
 */
export function path(parts: TemplateStringsArray, ...parameters: string[]): string {
  return parts.reduce((whole, part, at) => whole + escaped(parameters[at - 1]) + part);
}

const escaped = (parameter: unknown) => (typeof parameter === 'string' ? encodeURIComponent(parameter) : '');
