import {
  MailDeferredError,
  MailRefusedError,
  MailUnconfirmedError,
  TransportUnusableError,
} from '../../src/mail/mail-transport.js';
import { reasonOf, toMailError } from '../../src/mail/smtp-errors.js';

const failure = (fields: object) => Object.assign(new Error('on purpose'), fields);
const answer = (responseCode: number, command: string) => failure({ responseCode, command, code: 'EENVELOPE' });

describe('what a failure to hand over a mail means', () => {
  it.each([
    ['no connection', failure({ code: 'ESOCKET', command: 'CONN' }), TransportUnusableError],
    ['no name', failure({ code: 'EDNS', command: 'CONN' }), TransportUnusableError],
    ['no encryption', failure({ code: 'ETLS', command: 'CONN' }), TransportUnusableError],
    ['a wrong password', failure({ code: 'EAUTH', command: 'AUTH PLAIN', responseCode: 535 }), TransportUnusableError],
    ['a sender refused', answer(550, 'MAIL FROM'), TransportUnusableError],
    [
      'a server that is busy',
      failure({ code: 'ECONNECTION', command: 'CONN', responseCode: 421 }),
      TransportUnusableError,
    ],
    ['a recipient refused for now', answer(450, 'RCPT TO'), MailDeferredError],
    ['a login that is missing', answer(530, 'RCPT TO'), MailDeferredError],
    ['a step out of order', answer(503, 'DATA'), MailDeferredError],
    ['a recipient refused', answer(550, 'RCPT TO'), MailRefusedError],
    ['a message refused before it is sent', answer(554, 'DATA'), MailRefusedError],
    ['an address that is none', failure({ code: 'EENVELOPE', command: 'API' }), MailRefusedError],
  ])('before the message: %s', (_what, error, kind) => {
    expect(toMailError(error, false)).toBeInstanceOf(kind);
  });

  it.each([
    ['a lost connection', failure({ code: 'ECONNECTION', command: 'CONN' }), MailUnconfirmedError],
    ['silence', failure({ code: 'ETIMEDOUT', command: 'CONN' }), MailUnconfirmedError],
    ['an end by us', failure({ code: 'EABORT' }), MailUnconfirmedError],
    [
      'an answer that makes no sense',
      failure({ code: 'EMESSAGE', command: 'DATA', responseCode: 354 }),
      MailUnconfirmedError,
    ],
    ['a message refused', failure({ code: 'EMESSAGE', command: 'DATA', responseCode: 552 }), MailRefusedError],
    ['a message refused for now', failure({ code: 'EMESSAGE', command: 'DATA', responseCode: 451 }), MailDeferredError],
    [
      'a server that goes',
      failure({ code: 'ECONNECTION', command: 'CONN', responseCode: 421 }),
      TransportUnusableError,
    ],
  ])('after the message: %s', (_what, error, kind) => {
    expect(toMailError(error, true)).toBeInstanceOf(kind);
  });

  it.each([
    ['550 see https://app.example.com/reset?token=abc now', '550 see <link> now'],
    ['550 no <ada@example.com> here', '550 no <address> here'],
    [`554 found ${'x'.repeat(43)} in it`, '554 found <…> in it'],
    ['421 one\r\n421 two\u0000', '421 one 421 two'],
  ])('tells %j as %j', (text, told) => {
    expect(reasonOf(new Error(text))).toBe(told);
  });

  it('tells no stories', () => {
    expect(reasonOf(new Error('no '.repeat(500)))).toHaveLength(200);
  });
});
