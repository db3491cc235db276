import addressparser from 'nodemailer/lib/addressparser';
import MailComposer from 'nodemailer/lib/mail-composer';
import type { AppConfig } from '../config/app-config.js';
import type { OutgoingMail } from './mail-transport.js';

/** Who sends: with the product's name where `MAIL_FROM` gives an address alone. */
export function senderOf({ from, productName }: AppConfig['mail']): { name: string; address: string } {
  const [parsed] = addressparser(from, { flatten: true });
  return { name: parsed?.name || productName, address: parsed?.address ?? from };
}

/**
 * The whole message as bytes. For the wire its text is quoted-printable, which passes every server; for a file it is as it is, so that
 * whoever opens the file reads it, and links stay whole.
 */
export async function buildMessage(
  mail: OutgoingMail,
  settings: AppConfig['mail'],
  purpose: 'wire' | 'file',
): Promise<Buffer> {
  const from = senderOf(settings);
  const composer = new MailComposer({
    from,
    // As an object it is one address, whatever is in it.
    to: { name: '', address: mail.to },
    subject: mail.subject,
    date: new Date(),
    // From the row, so that a mail has one however often it is tried.
    messageId: `<${mail.id}@${from.address.slice(from.address.lastIndexOf('@') + 1)}>`,
    headers: { 'Auto-Submitted': 'auto-generated' },
    textEncoding: 'quoted-printable',
    newline: 'windows',
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(purpose === 'wire' ? { text: mail.text, html: mail.html } : { alternatives: readableParts(mail) }),
  });
  return composer.compile().build();
}

const readableParts = ({ text, html }: OutgoingMail) =>
  [
    ['text/plain', text],
    ['text/html', html],
  ].map(([type, content]) => ({
    raw: `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${content.replace(/\n/g, '\r\n')}`,
  }));
