/** What a mail says, without its looks: `mail-layout.ts` makes text and HTML of it. All of it is plain text. */
export interface MailContent {
  /** Instead of the address that the mail was queued for. */
  to?: string;
  subject: string;
  heading: string;
  paragraphs: string[];
  action?: { label: string; url: string };
  /** Small print. */
  notes?: string[];
}
