import { variables, type VariableName } from './variables.js';

const names = Object.keys(variables) as VariableName[];

const defaultOf = (name: VariableName) => variables[name].fallback ?? `(${variables[name].whenUnset})`;

const shorten = (value: string) => (value.length > 60 ? `${value.slice(0, 57)}…` : value);

/** The variables as `--help` lists them. */
export function describeVariables(): string {
  const width = Math.max(...names.map((name) => name.length)) + 2;
  const lines = names.flatMap((name) => [
    `  ${name.padEnd(width)}${variables[name].description}`,
    `  ${''.padEnd(width)}takes ${variables[name].accepts}; default ${shorten(defaultOf(name))}`,
  ]);
  return ['Environment variables (also read from .env in the working directory):', ...lines].join('\n');
}

/** The text of `.env.example`: every variable, commented out, with its default. */
export function describeAsDotenv(): string {
  const blocks = names.map((name) =>
    [
      `# ${variables[name].description}`,
      `# takes ${variables[name].accepts}; default ${variables[name].fallback === null ? defaultOf(name) : 'as below'}`,
      `# ${name}=${variables[name].fallback ?? ''}`,
    ].join('\n'),
  );
  return (
    ['# Copy to .env and uncomment what differs. With nothing set, Gatehouse runs.', ...blocks].join('\n\n') + '\n'
  );
}

/** The README's table. */
export function describeAsMarkdown(): string {
  const rows = names.map((name) => {
    const { fallback, whenUnset, description } = variables[name];
    const standard = fallback === null ? (whenUnset ?? 'none') : `\`${shorten(fallback)}\``;
    return `| \`${name}\` | ${standard} | ${description} |`;
  });
  return ['| variable | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}
