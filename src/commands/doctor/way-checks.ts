import type { AppConfig } from '../../config/app-config.js';
import { dataSourceOptions } from '../../database/connection.js';
import { factsOf, NO_TIMEOUT, poolerFault, TWO_DATABASES } from '../../database/outside-server.js';
import { LOG_POSITION, type LogPosition } from '../../database/replicas/list-reader.js';
import { Replica } from '../../database/replicas/replica.js';
import { type Finding, ok, problem, reasonOf, warning } from './check.js';
import { checkDatabase } from './database-checks.js';
import type { DatabaseLook } from './database-look.js';
import { isClearUrl, UNCLEAR_URL } from './redaction.js';

const SEE = 'See docs/postgresql.md.';

/** The database and the ways that lead to it: a pooler, replicas. */
export async function checkDatabaseAndWays(look: DatabaseLook, config: AppConfig): Promise<Finding[]> {
  const { url, replicaUrls } = config.database;
  if (url === null) return [await checkDatabase(look, config)];
  const pooling = await checkPooling(config.database, url);
  // A pooler refuses what the look asks for, and says nothing of why.
  if (look.kind === 'away' && pooling?.state === 'problem') return [pooling];
  const found = [await checkDatabase(look, config), ...(pooling ? [pooling] : [])];
  return replicaUrls.length === 0 ? found : [...found, ...(await checkReplicas(replicaUrls, look))];
}

async function checkReplicas(urls: readonly string[], look: DatabaseLook): Promise<Finding[]> {
  const findings: Finding[] = [];
  let systemId: string | null = null;
  try {
    systemId = look.kind === 'reached' ? await systemOf(look) : null;
  } catch (error) {
    const advice = `No replica is asked while it does not. Let DATABASE_URL lead to the primary, and its role execute pg_control_system(). ${SEE}`;
    findings.push(warning(`the primary does not tell where its log is: ${reasonOf(error)}`, advice));
  }
  const replicas = urls.map((url, index) => checkReplica(url, index + 1, systemId));
  return [...findings, ...(await Promise.all(replicas))];
}

/** `null`: there is no pooler, or nothing is reached, which is told of the database itself. */
async function checkPooling({ directUrl }: AppConfig['database'], url: string): Promise<Finding | null> {
  const facts = await factsOf({ url: directUrl ?? url }).catch(() => null);
  if (facts?.isTransactionPooled)
    return problem(poolerFault(directUrl === null ? 'DATABASE_URL' : 'DATABASE_DIRECT_URL'), SEE);
  if (!facts || directUrl === null) return null;
  try {
    const pooled = await factsOf({ url });
    if (pooled.identity !== facts.identity) return problem(TWO_DATABASES, 'Check host, port and name in both.');
    if (!pooled.hasStatementTimeout) return warning(NO_TIMEOUT, SEE);
    return ok(pooled.isTransactionPooled ? 'the pooler leads to it' : 'DATABASE_URL leads to it, by no pooler');
  } catch (error) {
    const reason = isClearUrl(url) ? reasonOf(error) : UNCLEAR_URL;
    return problem(`the pooler of DATABASE_URL is not reached: ${reason}`, `Start it, and check its log. ${SEE}`);
  }
}

/** @param primaryId `null` while it is not known */
async function checkReplica(url: string, number: number, primaryId: string | null): Promise<Finding> {
  const name = `replica ${number} of DATABASE_REPLICA_URLS`;
  const replica = new Replica({ url }, () => dataSourceOptions({ url }, 1));
  try {
    const { isInRecovery, systemId } = await replica.state();
    if (primaryId !== null && systemId !== primaryId)
      return problem(`${name} is a copy of another database`, 'It is not asked. Check host and port.');
    // After a failover it is: all servers may stand in the list.
    if (!isInRecovery) return ok(`${name} is no replica now, but the primary or one of its own: it is not asked`);
    return ok(`${name} is there`);
  } catch (error) {
    const reason = isClearUrl(url) ? reasonOf(error) : UNCLEAR_URL;
    return warning(`${name} is not reached: ${reason}`, 'The others answer its lists until it is back.');
  } finally {
    await replica.close();
  }
}

async function systemOf(look: Extract<DatabaseLook, { kind: 'reached' }>): Promise<string> {
  const [{ system_id }] = await look.database.query<LogPosition[]>(LOG_POSITION.text);
  return system_id;
}
