/** A path with its parameters escaped: path`/users/${id}`. */
export function path(parts: TemplateStringsArray, ...parameters: string[]): string {
  return parts.reduce((whole, part, at) => whole + encodeURIComponent(parameters[at - 1]) + part);
}
