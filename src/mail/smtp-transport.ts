import { createTransport, type SendMailOptions, type Transporter } from 'nodemailer';
import type { AppConfig } from '../config/app-config.js';
import { buildMessage, senderOf } from './mail-message.js';
import { type Handover, MailTransport, type OutgoingMail } from './mail-transport.js';
import { type SmtpFailure, toMailError } from './smtp-errors.js';
import { SmtpHandover } from './smtp-handover.js';

interface HandedOver extends SendMailOptions {
  handover: SmtpHandover;
}

const CONNECT_TIMEOUT_MS = 10_000;
const SOCKET_TIMEOUT_MS = 30_000;
/** For all of it: a server that sends a byte now and then keeps the socket's time from running out. */
const SEND_TIMEOUT_MS = 120_000;

/** Mails go to the server of SMTP_URL, by TLS where it offers that. */
export class SmtpTransport extends MailTransport {
  private readonly transporter: Transporter;

  constructor(
    private readonly settings: AppConfig['mail'],
    url: string,
    connectionsMax: number,
  ) {
    super();
    this.transporter = createTransport({
      pool: true,
      url,
      maxConnections: connectionsMax,
      // When a connection that waited turns out to be closed, the mail goes by another.
      maxRequeues: 2,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      dnsTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    this.transporter.use('stream', (mail, done) => {
      const { handover } = mail.data as HandedOver;
      if (mail.message) mail.message.createReadStream = () => handover.open();
      done();
    });
  }

  async send(mail: OutgoingMail, { begin, signal }: Handover): Promise<void> {
    const bytes = await buildMessage(mail, this.settings, 'wire');
    const handover = new SmtpHandover(bytes, begin);
    const message: HandedOver = {
      // Objects: a text would be parsed for more addresses than one.
      envelope: { from: senderOf(this.settings), to: [{ name: '', address: mail.to }] },
      raw: bytes,
      handover,
      signal: AbortSignal.any([signal, AbortSignal.timeout(SEND_TIMEOUT_MS)]),
    };
    try {
      await this.transporter.sendMail(message);
    } catch (error) {
      throw toMailError(error as SmtpFailure, handover.hasBegun);
    }
  }

  async verify(): Promise<void> {
    try {
      await this.transporter.verify();
    } catch (error) {
      throw toMailError(error as SmtpFailure, false);
    }
  }

  async close(): Promise<void> {
    this.transporter.close({ force: true });
  }
}
