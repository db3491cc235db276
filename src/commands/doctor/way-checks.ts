import type { AppConfig } from '../../config/app-config.js';
import { dataSourceOptions } from '../../database/connection.js';
import { factsOf, NO_TIMEOUT, poolerFault, TWO_DATABASES } from '../../database/outside-server.js';
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
  const replicas = replicaUrls.map((replica, index) => checkReplica(replica, index + 1, look));
  return [await checkDatabase(look, config), ...(pooling ? [pooling] : []), ...(await Promise.all(replicas))];
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

async function checkReplica(url: string, number: number, look: DatabaseLook): Promise<Finding> {
  const name = `replica ${number} of DATABASE_REPLICA_URLS`;
  const replica = new Replica({ url }, () => dataSourceOptions({ url }, 1));
  try {
    const { isInRecovery, systemId } = await replica.state();
    if (!isInRecovery) return warning(`${name} is no replica, or none any more`, 'It is not asked. Take it off.');
    if (look.kind === 'reached' && systemId !== (await systemOf(look)))
      return problem(`${name} is a copy of another database`, 'It is not asked. Check host and port.');
    return ok(`${name} is there`);
  } catch (error) {
    const reason = isClearUrl(url) ? reasonOf(error) : UNCLEAR_URL;
    return warning(`${name} is not reached: ${reason}`, 'The others answer its lists until it is back.');
  } finally {
    await replica.close();
  }
}

async function systemOf(look: Extract<DatabaseLook, { kind: 'reached' }>): Promise<string> {
  const [{ id }] = await look.database.query<{ id: string }[]>(
    'SELECT system_identifier::text AS id FROM pg_control_system()',
  );
  return id;
}
