import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort } from './uploads.js';

export interface S3Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Ends the server and removes what it has stored. */
  stop(): Promise<void>;
  /** To its gateway, which is all that clients see: SIGSTOP makes it hang, SIGKILL ends it. What is stored stays. */
  signal(signal: NodeJS.Signals): Promise<void>;
  /** After its gateway was killed. Resolves when it answers. */
  restart(): Promise<void>;
}

const run = promisify(execFile);
const PROGRAMS = ['radosgw', 'radosgw-admin', 'ceph-mon', 'ceph-osd', 'ceph', 'monmaptool', 'ceph-authtool'];
const START_SECONDS = 120;

/** Whether the Debian packages radosgw, ceph-mon, ceph-osd and ceph-common are installed. */
export const hasS3Server = (): boolean => PROGRAMS.every(isOnPath);

/**
 * A throw-away Ceph with its S3 gateway, the smallest that works: one monitor, one OSD in memory, one gateway. Ready after 15 seconds or
 * so; `null` where it is not installed.
 */
export async function startS3Server(): Promise<S3Server | null> {
  if (!hasS3Server()) return null;
  // Short, because a socket's path may have no more than 107 characters.
  const directory = mkdtempSync(join(tmpdir(), 'ceph-'));
  const cluster = new Cluster(directory, await freePort(), await freePort());
  try {
    return await cluster.start();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

export async function createBucket(server: S3Server, name: string): Promise<void> {
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  await client.send(new CreateBucketCommand({ Bucket: name }));
  client.destroy();
}

class Cluster {
  private readonly daemons: ChildProcess[] = [];
  /** The shell that holds it. */
  private gateway: ChildProcess | null = null;
  private readonly environment: NodeJS.ProcessEnv;
  private readonly accessKeyId = randomBytes(10).toString('hex');
  private readonly secretAccessKey = randomBytes(20).toString('hex');

  constructor(
    private readonly directory: string,
    private readonly monitorPort: number,
    private readonly port: number,
  ) {
    this.environment = { ...process.env, CEPH_CONF: join(directory, 'ceph.conf') };
  }

  async start(): Promise<S3Server> {
    const clusterId = randomUUID();
    writeFileSync(join(this.directory, 'ceph.conf'), this.configuration(clusterId));
    for (const name of ['mon', 'osd', 'run', 'log']) mkdirSync(join(this.directory, name));
    await this.startMonitor(clusterId);
    await this.startOsd();
    this.startGateway();
    const { accessKeyId, secretAccessKey } = this;
    const user = ['user', 'create', '--uid=test', '--display-name=Test'];
    await this.run('radosgw-admin', ...user, `--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`);
    const endpoint = `http://127.0.0.1:${this.port}`;
    await this.answers(endpoint);
    return {
      endpoint,
      accessKeyId,
      secretAccessKey,
      stop: () => this.stop(),
      signal: (signal) => this.signal(signal),
      restart: () => this.restart(endpoint),
    };
  }

  /** The data is thrown away: nobody waits for an orderly end. */
  async stop(): Promise<void> {
    const running = this.daemons.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const ended = running.map((daemon) => once(daemon, 'exit'));
    for (const daemon of running) daemon.stdin?.end();
    await Promise.all(ended);
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  private startGateway(): void {
    this.gateway = this.daemon('radosgw', '-f', '-n', 'client.rgw');
  }

  private async signal(signal: NodeJS.Signals): Promise<void> {
    const shell = this.gateway?.pid ?? 0;
    const children = readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8').trim().split(' ').map(Number);
    const pid = children.find((child) => readFileSync(`/proc/${child}/comm`, 'utf8').startsWith('radosgw'));
    if (!pid) throw new Error('the S3 gateway does not run');
    process.kill(pid, signal);
    // Its port is free when the shell has seen its end.
    while (signal === 'SIGKILL' && isRunning(pid)) await delay(5);
  }

  private async restart(endpoint: string): Promise<void> {
    this.startGateway();
    await this.answers(endpoint);
  }

  private async startMonitor(clusterId: string): Promise<void> {
    const [map, keyring] = [join(this.directory, 'monmap'), join(this.directory, 'keyring')];
    const address = `[v1:127.0.0.1:${this.monitorPort}]`;
    await this.run('monmaptool', '--create', '--fsid', clusterId, '--addv', 'a', address, map);
    await this.run('ceph-authtool', '--create-keyring', keyring, '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *');
    await this.run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring);
    this.daemon('ceph-mon', '-f', '-i', 'a');
  }

  private async startOsd(): Promise<void> {
    const id = randomUUID();
    await this.ask('osd', 'new', id, '0');
    await this.ask('osd', 'crush', 'add', 'osd.0', '1.0', 'host=localhost', 'root=default');
    await this.run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', id);
    this.daemon('ceph-osd', '-f', '-i', '0');
  }

  /** The monitor, which refuses for some time after its start. Both commands can be repeated. */
  private async ask(...args: string[]): Promise<void> {
    const deadline = Date.now() + START_SECONDS * 1000;
    for (;;) {
      try {
        return await this.run('ceph', ...args);
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await delay(100);
      }
    }
  }

  private async run(program: string, ...args: string[]): Promise<void> {
    await run(program, args, { env: this.environment, timeout: START_SECONDS * 1000 });
  }

  /** A shell holds a pipe from this process and kills the daemon at its end: a test run that crashes leaves nothing behind. */
  private daemon(program: string, ...args: string[]): ChildProcess {
    const script = '"$@" & daemon=$!; cat >/dev/null; kill -9 $daemon; wait $daemon; rm -rf "$0"';
    const shell = spawn('sh', ['-c', script, this.directory, program, ...args], {
      env: this.environment,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.daemons.push(shell);
    return shell;
  }

  private async answers(endpoint: string): Promise<void> {
    const deadline = Date.now() + START_SECONDS * 1000;
    for (;;) {
      try {
        await (await fetch(endpoint)).arrayBuffer();
        return;
      } catch (error) {
        if (Date.now() > deadline) throw new Error(`The S3 server does not start:\n${this.log()}`, { cause: error });
        await delay(100);
      }
    }
  }

  private log(): string {
    try {
      return readFileSync(join(this.directory, 'log', 'client.rgw.log'), 'utf8').slice(-2000);
    } catch {
      return '(the gateway has logged nothing)';
    }
  }

  private configuration(clusterId: string): string {
    const { directory } = this;
    return `
[global]
fsid = ${clusterId}
mon_host = v1:127.0.0.1:${this.monitorPort}
mon_initial_members = a
public_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = ${directory}/run
admin_socket = ${directory}/run/$name.$pid.asok
pid_file = ${directory}/run/$name.pid
log_file = ${directory}/log/$name.log
ms_bind_ipv6 = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
mon_data_avail_crit = 1
mon_data_avail_warn = 2
mon_warn_on_insecure_global_id_reclaim_allowed = false
[mon.a]
mon_data = ${directory}/mon
[osd]
osd_data = ${directory}/osd
osd_objectstore = memstore
osd_class_update_on_start = false
osd_crush_update_on_start = false
memstore_device_bytes = 2147483648
osd_op_num_shards = 1
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${this.port}
rgw_thread_pool_size = 32
rgw_enable_usage_log = false
keyring = /dev/null
`;
  }
}

/** A process that has ended stays in the list until its parent asks for it. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
