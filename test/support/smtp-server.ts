import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';

/** What the server does with a mail to an address. */
export type Treatment =
  | 'take'
  /** Takes the message whole, and is gone before it says so. */
  | 'drop-after-data'
  /** Takes the message whole, and says nothing until `release()`. */
  | 'hang-after-data'
  | { at: 'recipient' | 'message'; code: number; text: string };

export interface ReceivedMail {
  /** Of the envelope. */
  from: string;
  to: string[];
  raw: string;
  isEncrypted: boolean;
  user: string | null;
}

interface SmtpServerOptions {
  /** Offers STARTTLS, with a certificate that nobody has signed. */
  hasTls?: boolean;
  credentials?: { user: string; pass: string };
  port?: number;
}

/** A real SMTP server in this process, with the faults that a test asks for. */
export class TestSmtpServer {
  /** Whatever has arrived whole, whether or not the sender was told. */
  readonly received: ReceivedMail[] = [];
  /** Refuses every sender, as a server does that is told to serve nobody for a while. */
  senderRefusal: { code: number; text: string } | null = null;
  private readonly treatments = new Map<string, Treatment[]>();
  private readonly held: (() => void)[] = [];
  private readonly server: SMTPServer;

  private constructor(private readonly options: SmtpServerOptions) {
    const { hasTls, credentials } = options;
    this.server = new SMTPServer({
      disabledCommands: [...(hasTls ? [] : ['STARTTLS']), ...(credentials ? [] : ['AUTH'])],
      authOptional: !credentials,
      // Its own certificate is good enough here.
      logger: false,
      closeTimeout: 0,
      disableReverseLookup: true,
      onAuth: ({ username, password }, _session, done) =>
        username === credentials?.user && password === credentials?.pass
          ? done(null, { user: username })
          : done(refusal(535, 'wrong user or password')),
      onMailFrom: (_address, _session, done) =>
        done(this.senderRefusal && refusal(this.senderRefusal.code, this.senderRefusal.text)),
      onRcptTo: ({ address }, _session, done) => {
        const treatment = this.treatments.get(address)?.[0];
        if (typeof treatment !== 'object' || treatment.at !== 'recipient') return done();
        this.treatments.get(address)?.shift();
        done(refusal(treatment.code, treatment.text));
      },
      onData: (stream, session, done) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => this.take(Buffer.concat(chunks).toString(), session, done));
      },
    });
    // A client that is cut off is a part of the tests.
    this.server.on('error', () => undefined);
  }

  static async start(options: SmtpServerOptions = {}): Promise<TestSmtpServer> {
    const server = new TestSmtpServer(options);
    await once(server.server.listen(options.port ?? 0, '127.0.0.1'), 'listening');
    return server;
  }

  get port(): number {
    return (this.server.server.address() as AddressInfo).port;
  }

  get url(): string {
    const { credentials } = this.options;
    return `smtp://${credentials ? `${credentials.user}:${credentials.pass}@` : ''}127.0.0.1:${this.port}`;
  }

  /** What happens to the next mails to an address, in turn; to any later one nothing. */
  treat(address: string, ...treatments: Treatment[]): void {
    this.treatments.set(address, treatments);
  }

  mailsTo(address: string): ReceivedMail[] {
    return this.received.filter(({ to }) => to.includes(address));
  }

  /** Answers those that hang. */
  release(): void {
    for (const answer of this.held.splice(0)) answer();
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.cut(() => true);
    await closed;
  }

  private take(raw: string, session: SMTPServerSession, done: (error?: Error | null) => void): void {
    const to = session.envelope.rcptTo.map(({ address }) => address);
    const treatment = this.treatments.get(to[0])?.shift() ?? 'take';
    if (typeof treatment === 'object') return done(refusal(treatment.code, treatment.text));
    const from = session.envelope.mailFrom ? session.envelope.mailFrom.address : '';
    this.received.push({ from, to, raw, isEncrypted: session.secure, user: session.user ?? null });
    if (treatment === 'take') done();
    else if (treatment === 'hang-after-data') this.held.push(done);
    else this.cut(({ id }) => id === session.id);
  }

  private cut(isMeant: (session: SMTPServerSession) => boolean): void {
    for (const connection of this.server.connections) if (isMeant(connection.session)) connection._socket.destroy();
  }
}

const refusal = (responseCode: number, text: string) => Object.assign(new Error(text), { responseCode });

export const parseMail = (raw: string): Promise<Email> => PostalMime.parse(raw);
