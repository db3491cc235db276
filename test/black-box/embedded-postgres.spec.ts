import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { commandOf, compileOwner, eventually, Owner, processesOn, query } from '../support/embedded-owner-process.js';

const isRoot = process.getuid?.() === 0;
const onLinux = process.platform === 'linux' ? describe : describe.skip;
const asRoot = isRoot ? it : it.skip;

onLinux('embedded PostgreSQL', () => {
  let compiled: string;
  let base: string;
  let template: string;
  const owners: Owner[] = [];
  const others: ChildProcess[] = [];
  let count = 0;

  beforeAll(async () => {
    compiled = compileOwner();
    base = fs.mkdtempSync(join(os.tmpdir(), 'embedded-postgres-'));
    fs.chmodSync(base, 0o711);
    template = join(base, 'template');
    const owner = launch(template);
    const { isFresh, connection } = await owner.ready();
    expect(isFresh).toBe(true);
    await query(connection, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await owner.stop();
  });

  afterEach(async () => {
    await Promise.all(owners.splice(0).map((owner) => owner.kill()));
    for (const other of others.splice(0)) other.kill('SIGKILL');
    await eventually(() => processesOn(base).length === 0, 'the last server to end');
  });

  afterAll(() => {
    fs.rmSync(base, { recursive: true, force: true });
    fs.rmSync(compiled, { recursive: true, force: true });
  });

  function launch(directory: string, user?: { uid: number; gid: number }): Owner {
    const owner = Owner.launch(compiled, directory, user);
    owners.push(owner);
    return owner;
  }

  const newDirectory = (): string => join(base, `case-${++count}`);

  /** A home with a database in it, without waiting for initdb. */
  function usedDirectory(directory = newDirectory()): string {
    execFileSync('cp', ['-a', template, directory]);
    return directory;
  }

  function killAll(directory: string, name: string): void {
    const found = processesOn(directory).filter((candidate) => candidate.name === name);
    expect(found).not.toEqual([]);
    for (const { pid } of found) process.kill(pid, 'SIGKILL');
  }

  async function expectDataKept(directory: string): Promise<void> {
    const { connection, isFresh } = await launch(directory).ready();
    expect(isFresh).toBe(false);
    expect(await query(connection, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    // What the server has just forked looks like it until it has a title of its own; two servers do not become one by waiting.
    await eventually(() => serversOf(directory).length === 1, 'one server');
  }

  function serversOf(directory: string): number[] {
    const command = `bin/postgres\0-D\0${directory}/`;
    const found = processesOn(directory).filter(
      ({ pid, name }) => name === 'postgres' && commandOf(pid).includes(command),
    );
    return found.map(({ pid }) => pid);
  }

  it('makes a Unicode database for a role without special rights, on a private socket', async () => {
    const directory = newDirectory();
    const { connection, isFresh } = await launch(directory).ready();
    expect(isFresh).toBe(true);
    await query(connection, 'CREATE EXTENSION pg_trgm');
    const [row] = await query(
      connection,
      `SELECT lower('ÄÉ') AS lower, similarity('ÄÉ', 'äé') AS similarity, current_setting('TimeZone') AS zone,
              current_setting('fsync') AS fsync, current_setting('listen_addresses') AS addresses,
              (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser`,
    );
    expect(row).toEqual({ lower: 'äé', similarity: 1, zone: 'UTC', fsync: 'on', addresses: '', superuser: false });
    expect(fs.statSync(connection.host).mode & 0o777).toBe(0o700);
    expect(fs.statSync(join(directory, 'cluster/password')).mode & 0o777).toBe(0o600);
    await expect(query({ ...connection, password: 'wrong' }, 'SELECT 1')).rejects.toThrow('password');
  });

  it('keeps data from one start to the next', () => expectDataKept(usedDirectory()));

  it('leaves no process after stop', async () => {
    const directory = usedDirectory();
    const owner = launch(directory);
    await owner.ready();
    await owner.stop();
    expect(await owner.next()).toMatchObject({ event: 'stopped' });
    expect(processesOn(directory)).toEqual([]);
    expect(fs.existsSync(join(directory, 'cluster/data/postmaster.pid'))).toBe(false);
  });

  it('tells when the server dies by itself', async () => {
    const owner = launch(usedDirectory());
    process.kill((await owner.ready()).serverPid, 'SIGKILL');
    expect(await owner.next()).toMatchObject({ event: 'server-exit' });
    await owner.stop();
    expect(await owner.next()).toMatchObject({ event: 'stopped' });
  });

  it('shuts the server down when the owner is killed, and starts again at once', async () => {
    const directory = usedDirectory();
    const owner = launch(directory);
    await owner.ready();
    await owner.kill();
    await expectDataKept(directory);
  });

  it('starts after owner and server have been killed', async () => {
    const directory = usedDirectory();
    const owner = launch(directory);
    const { serverPid } = await owner.ready();
    process.kill(serverPid, 'SIGKILL');
    await owner.kill();
    await expectDataKept(directory);
  });

  it('ends a server whose owner and watchdog have been killed, and starts its own', async () => {
    const directory = usedDirectory();
    const owner = launch(directory);
    const { serverPid } = await owner.ready();
    killAll(directory, 'sh');
    await owner.kill();
    expect(serversOf(directory)).toEqual([serverPid]);
    await expectDataKept(directory);
  });

  it('refuses a second owner with one line that names directory and process', async () => {
    const directory = usedDirectory();
    const { connection } = await launch(directory).ready();
    const refusal = await launch(directory).next();
    expect(refusal).toMatchObject({ event: 'refused', isOurs: true });
    expect(refusal.message).toContain(directory);
    expect(refusal.message).toMatch(/in use by process \d+: /);
    expect(refusal.message).not.toContain('\n');
    expect(await query(connection, 'SELECT answer FROM kept')).toHaveLength(1);
  });

  it('has exactly one winner when several start on a new directory together', async () => {
    const directory = newDirectory();
    const starters = Array.from({ length: 3 }, () => launch(directory));
    const answers = await Promise.all(starters.map((starter) => starter.next()));
    expect(answers.map(({ event }) => event).sort()).toEqual(['ready', 'refused', 'refused']);
    const losers = answers.filter(({ event }) => event === 'refused');
    expect(losers.every(({ isOurs, message }) => isOurs && message.includes('in use by process'))).toBe(true);
    const winner = answers.find(({ event }) => event === 'ready');
    expect(await query(winner?.connection ?? {}, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('has exactly one winner when several take over from a killed owner together', async () => {
    const directory = usedDirectory();
    const owner = launch(directory);
    await owner.ready();
    await owner.kill();
    const answers = await Promise.all(
      Array.from({ length: 3 }, () => launch(directory)).map((starter) => starter.next()),
    );
    expect(answers.map(({ event }) => event).sort()).toEqual(['ready', 'refused', 'refused']);
  });

  it('makes the database again if the first attempt was killed half-way', async () => {
    let directory: string;
    const unfinished = (): string[] =>
      fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => name.startsWith('unfinished-')) : [];
    const isDone = () => fs.existsSync(join(directory, 'cluster'));
    const isHalfWay = () => unfinished().some((name) => fs.existsSync(join(directory, name, 'data/base')));
    // Until it is killed in time.
    do {
      directory = newDirectory();
      const owner = launch(directory);
      await eventually(() => isHalfWay() || isDone(), 'initdb');
      await owner.kill();
    } while (isDone());
    const { isFresh, connection } = await launch(directory).ready();
    expect(isFresh).toBe(true);
    expect(unfinished()).toEqual([]);
    expect(await query(connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('is not misled by a pid file whose pid belongs to something else by now, and leaves that alone', async () => {
    const directory = usedDirectory();
    const owner = launch(directory);
    const { serverPid } = await owner.ready();
    process.kill(serverPid, 'SIGKILL');
    await owner.kill();
    await eventually(() => processesOn(directory).length === 0, 'the killed server to be gone');
    const pidFile = join(directory, 'cluster/data/postmaster.pid');
    const { uid, gid } = fs.statSync(pidFile);
    const bystander = spawn('sleep', ['600'], { uid, gid, stdio: 'ignore' });
    others.push(bystander);
    const socketLock = join(directory, 'run/.s.PGSQL.5432.lock');
    for (const file of [pidFile, socketLock]) {
      fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/^\d+/, String(bystander.pid)));
    }
    await expectDataKept(directory);
    expect(bystander.exitCode ?? bystander.signalCode).toBeNull();
  });

  it('works in a directory whose path is too long for a socket', async () => {
    const parent = join(base, 'p'.repeat(120), 'q'.repeat(120));
    fs.mkdirSync(parent, { recursive: true });
    const directory = usedDirectory(join(parent, 'postgres'));
    const owner = launch(directory);
    const { connection } = await owner.ready();
    expect(connection.host.length).toBeLessThan(90);
    expect(fs.statSync(connection.host).mode & 0o777).toBe(0o700);
    await owner.stop();
    expect(fs.existsSync(connection.host)).toBe(false);
    await expectDataKept(directory);
    await owners.at(-1)?.stop();
  });

  it('says what to do about data of another PostgreSQL version', async () => {
    const directory = usedDirectory();
    fs.writeFileSync(join(directory, 'cluster/data/PG_VERSION'), '16\n');
    const refusal = await launch(directory).next();
    expect(refusal).toMatchObject({ event: 'refused', isOurs: true });
    expect(refusal.message).toMatch(/made by PostgreSQL 16, .* brings PostgreSQL \d+: /);
  });

  it("gives the server's own reason and the log file when it does not start", async () => {
    const directory = usedDirectory();
    fs.rmSync(join(directory, 'cluster/data/global/pg_control'));
    const refusal = await launch(directory).next();
    expect(refusal).toMatchObject({ event: 'refused', isOurs: true });
    expect(refusal.message).toContain('pg_control');
    expect(refusal.message).toContain(join(directory, 'server.log'));
    expect(fs.existsSync(join(directory, 'cluster/data/PG_VERSION'))).toBe(true);
  });

  asRoot('works for an ordinary user', async () => {
    const nobody = { uid: 65534, gid: 65534 };
    const directory = newDirectory();
    fs.mkdirSync(directory);
    fs.chownSync(directory, nobody.uid, nobody.gid);
    const { connection, isFresh, serverPid } = await launch(directory, nobody).ready();
    expect(isFresh).toBe(true);
    expect(fs.statSync(`/proc/${serverPid}`).uid).toBe(nobody.uid);
    expect(await query(connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  asRoot('keeps the data at one other place if the server cannot reach the directory', async () => {
    const closed = join(base, 'closed');
    fs.mkdirSync(closed, { mode: 0o700 });
    const owner = launch(join(closed, 'postgres'));
    const { connection, logged, isFresh } = await owner.ready();
    const home = join(connection.host, '..');
    try {
      expect(isFresh).toBe(true);
      expect(logged.join()).toContain(`${join(closed, 'postgres')} is kept in ${home}`);
      expect(fs.statSync(home).mode & 0o077).toBe(0o011);
      await owner.stop();
      const again = launch(join(closed, 'postgres'));
      expect(await again.ready()).toMatchObject({ isFresh: false, connection: { host: connection.host } });
      await again.stop();
    } finally {
      fs.rmSync(home, { recursive: true, force: true });
    }
  });
});
