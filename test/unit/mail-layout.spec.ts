import { renderMail } from '../../src/mail/mail-layout.js';

const URL = 'https://app.example.com/account/verify?a=1&token=abc';
const CONTENT = {
  subject: 'Confirm your address',
  heading: 'Welcome',
  paragraphs: [
    'Please confirm that this address is yours. It takes one click and is asked of everybody who registers here.',
  ],
  action: { label: 'Confirm', url: URL },
  notes: ['The link works once.'],
};

describe('mail layout', () => {
  it('makes a text of lines that fit, with the link on a line of its own', () => {
    expect(renderMail(CONTENT, 'Gatehouse').text).toBe(
      [
        'Welcome',
        '=======',
        '',
        'Please confirm that this address is yours. It takes one click and is',
        'asked of everybody who registers here.',
        '',
        'Confirm:',
        URL,
        '',
        'The link works once.',
        '',
        '-- ',
        'Gatehouse',
        '',
      ].join('\n'),
    );
  });

  it('never breaks a link, however long', () => {
    const url = `https://app.example.com/${'long/'.repeat(60)}`;
    const { text, html } = renderMail({ ...CONTENT, action: { label: 'Go', url } }, 'Gatehouse');
    expect(text.split('\n')).toContain(url);
    expect(html).toContain(`href="${url}"`);
  });

  it('makes a page with the button, the bare link, the notes, and the product before and after', () => {
    const { html } = renderMail(CONTENT, 'Gatehouse');
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(html.split(`href="${URL.replace('&', '&amp;')}"`)).toHaveLength(3);
    expect(html).toContain(`>${URL.replace('&', '&amp;')}</a>`);
    expect(html).toContain('The link works once.');
    const [head, , foot] = html.split('Gatehouse');
    expect(head.indexOf('<h1')).toBe(-1);
    expect(foot).not.toContain('<h1');
  });

  it('loads nothing', () => {
    const { html } = renderMail(CONTENT, 'Gatehouse');
    expect(html).not.toMatch(/<(img|link|script|iframe|object)|url\(|@import|src=/i);
  });

  it('shows nothing for what there is not', () => {
    const { html, text } = renderMail({ subject: 's', heading: 'h', paragraphs: ['p'] }, 'Gatehouse');
    expect(html).not.toMatch(/href|button does not work|border-top/);
    expect(text).toBe('h\n=\n\np\n\n-- \nGatehouse\n');
  });

  it.each(['subject', 'heading', 'paragraph', 'note', 'label', 'product'])(
    'lets a %s be text and nothing else',
    (where) => {
      const evil = `<script>alert("1")</script>' onload='x' & <a href="https://evil.example">`;
      const at = (name: string, normal: string) => (name === where ? evil : normal);
      const { html } = renderMail(
        {
          subject: at('subject', 's'),
          heading: at('heading', 'h'),
          paragraphs: [at('paragraph', 'p')],
          action: { label: at('label', 'l'), url: URL },
          notes: [at('note', 'n')],
        },
        at('product', 'Gatehouse'),
      );
      expect(html).not.toContain('<script');
      expect(html).not.toContain('href="https://evil.example');
      expect(html).not.toContain(`onload='`);
      expect(html).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39; onload=&#39;x&#39; &amp; &lt;a');
    },
  );

  it('takes line breaks, control characters and turned text out of what it is given', () => {
    const dirty = 'one\r\nBcc: two\u2028three\u0007four\u202efive\tsix';
    const { subject, text } = renderMail(
      { ...CONTENT, subject: dirty, heading: dirty, paragraphs: [dirty] },
      'Gate\nhouse',
    );
    expect(subject).toBe('one Bcc: two three fourfive six');
    expect(text.split('\n').slice(0, 4)).toEqual([subject, '='.repeat(subject.length), '', subject]);
    expect(text).toContain('\nGate house\n');
  });
});
