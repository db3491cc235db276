import type { MailContent } from './mail-content.js';

const FONT = `font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif`;
const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character]);

/**
 * Tables and inline styles, because some mail programs know nothing else; nothing is loaded and nobody is followed. Where a program knows
 * style sheets, the classes give it a dark look.
 */
const STYLE = `
    :root { color-scheme: light dark; supported-color-schemes: light dark; }
    @media (prefers-color-scheme: dark) {
      .page { background: #16181d !important; }
      .card { background: #22252c !important; border-color: #343943 !important; }
      .strong { color: #f2f4f7 !important; }
      .body { color: #d3d8e0 !important; }
      .faint { color: #9aa3b2 !important; }
      .rule { border-color: #343943 !important; }
      .button { background: #7aa2ff !important; }
      .button a { color: #10131a !important; }
      .link { color: #9db9ff !important; }
    }
    @media (max-width: 600px) {
      .outer { padding: 16px 8px !important; }
      .inner { padding: 24px 20px !important; }
    }`;

export function mailHtml(content: MailContent, product: string): string {
  const { subject, heading, paragraphs, action, notes = [] } = content;
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="supported-color-schemes" content="light dark">
  <title>${escape(subject)}</title>
  <style>${STYLE}
  </style>
</head>
<body class="page" style="margin:0;padding:0;background:#f3f4f7;">
${preheader(paragraphs[0] ?? heading)}
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" border="0" style="background:#f3f4f7;">
<tr><td class="outer" align="center" style="padding:32px 16px;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:560px;text-align:left;">
<tr><td class="strong" style="padding:0 4px 16px;${FONT};font-size:17px;line-height:24px;font-weight:600;color:#1b2230;">${escape(product)}</td></tr>
<tr><td class="card inner" style="padding:32px;background:#ffffff;border:1px solid #e1e4ea;border-radius:10px;">
<h1 class="strong" style="margin:0 0 16px;${FONT};font-size:22px;line-height:30px;font-weight:600;color:#1b2230;overflow-wrap:anywhere;">${escape(heading)}</h1>
${paragraphs.map(paragraph).join('\n')}
${action ? button(action) : ''}
${notes.length > 0 ? smallPrint(notes) : ''}
</td></tr>
<tr><td class="faint" style="padding:16px 4px 0;${FONT};font-size:13px;line-height:20px;color:#667085;">Sent by ${escape(product)}. This is an automatic mail.</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
`;
}

/** What lists of mails show beside the subject. The blanks keep the rest of the mail out of that line. */
const preheader = (text: string): string =>
  `<div style="display:none;max-height:0;overflow:hidden;font-size:1px;line-height:1px;">${escape(text)}${'&#8203;&nbsp;'.repeat(60)}</div>`;

const paragraph = (text: string): string =>
  `<p class="body" style="margin:0 0 16px;${FONT};font-size:16px;line-height:25px;color:#3b4354;overflow-wrap:anywhere;">${escape(text)}</p>`;

const button = ({ label, url }: { label: string; url: string }): string =>
  `<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:24px 0;">
<tr><td class="button" style="background:#2456d6;border-radius:8px;">
<a href="${escape(url)}" style="display:inline-block;padding:13px 26px;${FONT};font-size:16px;line-height:22px;font-weight:600;color:#ffffff;text-decoration:none;">${escape(label)}</a>
</td></tr>
</table>
<p class="faint" style="margin:0 0 16px;${FONT};font-size:13px;line-height:20px;color:#667085;">If the button does not work, open this address:<br>
<a class="link" href="${escape(url)}" style="color:#2456d6;word-break:break-all;">${escape(url)}</a></p>`;

const smallPrint = (notes: string[]): string =>
  `<div class="rule" style="margin:24px 0 0;padding:16px 0 0;border-top:1px solid #e1e4ea;">
${notes.map((note) => `<p class="faint" style="margin:0 0 8px;${FONT};font-size:13px;line-height:20px;color:#667085;overflow-wrap:anywhere;">${escape(note)}</p>`).join('\n')}
</div>`;
