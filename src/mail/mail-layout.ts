import { mailHtml } from './mail-html.js';
import type { MailContent } from './mail-content.js';

export interface RenderedMail {
  subject: string;
  text: string;
  html: string;
}

const TEXT_WIDTH = 72;

/**
 * Names and texts of users come without line breaks and control characters, so that they cannot look like other parts of the mail, and
 * without what turns the direction of the text after them.
 */
const oneLine = (text: string): string =>
  text
    .replace(/[\u202A-\u202E\u2066-\u2069]/g, '')
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();

/** Text and HTML of a mail. */
export function renderMail(content: MailContent, productName: string): RenderedMail {
  const { action } = content;
  const clean: MailContent = {
    subject: oneLine(content.subject),
    heading: oneLine(content.heading),
    paragraphs: content.paragraphs.map(oneLine),
    action: action && { label: oneLine(action.label), url: new URL(action.url).href },
    notes: content.notes?.map(oneLine),
  };
  const product = oneLine(productName);
  return { subject: clean.subject, text: mailText(clean, product), html: mailHtml(clean, product) };
}

function mailText({ heading, paragraphs, action, notes = [] }: MailContent, product: string): string {
  const title = wrap(heading);
  const underline = '='.repeat(Math.max(...title.split('\n').map((line) => line.length), 1));
  const blocks = [
    `${title}\n${underline}`,
    ...paragraphs.map(wrap),
    // Not wrapped: a link of two lines leads nowhere.
    ...(action ? [`${action.label}:\n${action.url}`] : []),
    ...notes.map(wrap),
    // By this line mail programs know where the letter ends.
    `-- \n${product}`,
  ];
  return `${blocks.join('\n\n')}\n`;
}

/** Lines that plain-text readers show whole. A word that is longer stays as it is. */
function wrap(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last !== '' && last.length + 1 + word.length > TEXT_WIDTH) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join('\n');
}
