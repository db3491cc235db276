import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { letGo } from './held-process.js';

const PROGRAM = 'nginx';
const FOLDER = join(__dirname, '../../deploy/nginx');
const TEMPLATE = join(FOLDER, 'gatehouse.conf.template');
const MAIN = join(FOLDER, 'nginx.conf');
/** Debian has it where only root looks. */
const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];

function pathOf(program: string): string | null {
  for (const folder of FOLDERS) {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {
      continue;
    }
  }
  return null;
}

/** Whether the Debian package nginx-light (or another of nginx) is installed. */
export const hasNginx = (): boolean => pathOf(PROGRAM) !== null;

/** As nginx has logged it. An address of a node for each that it has asked. */
export interface Passed {
  readonly client: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly nodes: readonly string[];
}

/** Debian's nginx with the configuration that is shipped, in front of nodes. */
export class NginxServer {
  private readonly directory = mkdtempSync(join(tmpdir(), 'nginx-'));
  private process: ChildProcess | null = null;

  constructor(
    private readonly port: number,
    private readonly nodes: readonly { port: number }[],
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Resolves when it takes connections. A shell holds a pipe from this process and ends the server with it, and so the server its workers. */
  async start(): Promise<void> {
    const program = pathOf(PROGRAM);
    if (!program) throw new Error('There is no nginx: install the package nginx-light');
    mkdirSync(join(this.directory, 'temp'));
    writeFileSync(join(this.directory, 'nginx.conf'), this.configuration());
    const script = '"$@" & server=$!; cat >/dev/null; kill -TERM $server; wait $server; rm -rf "$0"';
    const settings = ['-e', 'stderr', '-p', this.directory, '-c', join(this.directory, 'nginx.conf')];
    const server = spawn('sh', ['-c', script, this.directory, program, ...settings], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.process = server;
    const said: string[] = [];
    const isReady = await new Promise<boolean>((resolve) => {
      createInterface(server.stderr).on('line', (line) => {
        said.push(line);
        if (/start worker processes/.test(line)) resolve(true);
        if (/\[emerg\]/.test(line)) resolve(false);
      });
      server.once('exit', () => resolve(false));
    });
    if (isReady) return;
    await this.stop();
    throw new Error(`nginx does not start:\n${said.join('\n')}`);
  }

  /** What it has passed on until now. Requests of sockets are there when they are over. */
  passed(): Passed[] {
    const lines = readFileSync(join(this.directory, 'access.log'), 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => {
      const [client, method, path, status, nodes] = line.split(' | ');
      return {
        client,
        method,
        path,
        status: Number(status),
        nodes: nodes.split(/,? :? ?/).filter((one) => /\d/.test(one)),
      };
    });
  }

  async stop(): Promise<void> {
    const server = this.process;
    this.process = null;
    await letGo(server);
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** The template as the official image fills it in, within the main file, with all that lies elsewhere in the folder of this server. */
  private configuration(): string {
    const variables: Record<string, string> = {
      GATEHOUSE_LISTEN: `127.0.0.1:${this.port}`,
      GATEHOUSE_NODE_OPTIONS: '',
      GATEHOUSE_RESOLVER: '127.0.0.1',
      ...Object.fromEntries(this.nodes.map(({ port }, at) => [`GATEHOUSE_NODE_${at + 1}`, `127.0.0.1:${port}`])),
    };
    const site = readFileSync(TEMPLATE, 'utf8').replace(
      /\$\{(\w+)\}/g,
      (whole, name: string) => variables[name] ?? whole,
    );
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path temp/${name};`,
    );
    const log = [
      `log_format passed '$remote_addr | $request_method | $uri | $status | $upstream_addr';`,
      'access_log access.log passed;',
    ];
    const elsewhere: [string, string][] = [
      ['user nginx;', `${process.getuid?.() === 0 ? 'user root;' : ''} daemon off;`],
      ['worker_processes auto;', 'worker_processes 2;'],
      ['/var/log/nginx/error.log', 'stderr'],
      ['/run/nginx.pid', 'nginx.pid'],
      ['include /etc/nginx/mime.types;', temporary.join(' ')],
      ['access_log /var/log/nginx/access.log gatehouse;', log.join(' ')],
      ['include /etc/nginx/conf.d/*.conf;', site],
    ];
    return elsewhere.reduce(
      (text, [shipped, here]) => {
        if (!text.includes(shipped)) throw new Error(`deploy/nginx/nginx.conf has no longer: ${shipped}`);
        return text.replace(shipped, () => here);
      },
      readFileSync(MAIN, 'utf8'),
    );
  }
}
