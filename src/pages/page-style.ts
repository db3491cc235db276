/** Light or dark as the reader's system has it; one column that fits a phone. */
export const PAGE_STYLE = `:root {
  color-scheme: light dark;
  --page: #f3f4f6;
  --card: #ffffff;
  --text: #1f2937;
  --quiet: #5b6472;
  --line: #c4cad3;
  --accent: #1d4ed8;
  --accent-pressed: #1e40af;
  --on-accent: #ffffff;
  --bad: #b42318;
  --good: #067647;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f141b;
    --card: #1a212b;
    --text: #e8ebf0;
    --quiet: #a3adbb;
    --line: #465162;
    --accent: #7aa5ff;
    --accent-pressed: #9dbcff;
    --on-accent: #0b1220;
    --bad: #ff9b8f;
    --good: #5fd39a;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0;
  min-height: 100vh;
  padding: clamp(1rem, 8vh, 6rem) 1rem 2rem;
  background: var(--page);
  color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif;
  -webkit-text-size-adjust: 100%;
}
main {
  max-width: 27rem;
  margin: 0 auto;
  padding: 1.75rem;
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: 0.75rem;
}
.product {
  margin: 0 0 1.25rem;
  color: var(--quiet);
  font-weight: 600;
  overflow-wrap: anywhere;
}
h1 { margin: 0 0 0.75rem; font-size: 1.5rem; line-height: 1.25; }
h1:focus { outline: none; }
.good h1::before { content: '✓ ' / ''; color: var(--good); }
p { margin: 0 0 1rem; }
section > :last-child, form > :last-child { margin-bottom: 0; }
label { display: block; margin-bottom: 0.375rem; font-weight: 600; }
.field { display: flex; gap: 0.5rem; }
input {
  flex: 1;
  width: 100%;
  min-width: 0;
  padding: 0.625rem 0.75rem;
  color: inherit;
  background: transparent;
  border: 1px solid var(--line);
  border-radius: 0.5rem;
  font: inherit;
}
input[aria-invalid] { border-color: var(--bad); }
button {
  padding: 0.6875rem 1rem;
  border: 1px solid transparent;
  border-radius: 0.5rem;
  font: inherit;
  font-weight: 600;
  cursor: pointer;
}
button[type='submit'] { width: 100%; margin-top: 1rem; background: var(--accent); color: var(--on-accent); }
button[type='submit']:hover { background: var(--accent-pressed); }
button[aria-disabled='true'] { opacity: 0.6; cursor: progress; }
.reveal { background: transparent; border-color: var(--line); color: inherit; font-weight: 400; }
.reveal[aria-pressed='true'] { background: var(--line); }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.rules { margin: 0.75rem 0 0; padding-left: 1.25rem; color: var(--quiet); font-size: 0.9375rem; }
.errors { margin: 0.75rem 0 0; padding: 0; list-style: none; color: var(--bad); font-weight: 600; }
.errors:empty { display: none; }
.errors li + li { margin-top: 0.25rem; }
a { color: var(--accent); }
@media (max-width: 24rem) {
  main { padding: 1.25rem; }
}
`;
