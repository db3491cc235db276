import { type DynamicModule, Global, Module } from '@nestjs/common';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import type { DataSource, DataSourceOptions } from 'typeorm';
import { AppConfig } from '../config/app-config.js';
import { CONNECTION, dataSourceOptions, type Connection } from './connection.js';
import { DatabaseListener } from './database-listener.js';
import { PoolerProbe } from './pooler-probe.js';
import { PreparedStatements } from './prepared-statements.js';
import { ListReader, REPLICAS } from './replicas/list-reader.js';
import { RecentWriters } from './replicas/recent-writers.js';
import { Replica } from './replicas/replica.js';

@Global()
@Module({})
export class DatabaseModule {
  /** For a database that `openDatabase()` has found up and migrated. */
  static with(connection: Connection): DynamicModule {
    return {
      module: DatabaseModule,
      imports: [
        TypeOrmModule.forRootAsync({
          inject: [AppConfig],
          useFactory: (config: AppConfig) => ({
            ...poolOptions(config, connection),
            autoLoadEntities: true,
            retryAttempts: 0,
          }),
        }),
      ],
      providers: [
        PreparedStatements,
        DatabaseListener,
        PoolerProbe,
        RecentWriters,
        ListReader,
        { provide: CONNECTION, useValue: connection },
        { provide: REPLICAS, inject: [AppConfig, getDataSourceToken()], useFactory: replicasOf },
      ],
      exports: [PreparedStatements, DatabaseListener, PoolerProbe, ListReader, CONNECTION],
    };
  }
}

/** The pool alone may lead through a pooler: what has a connection of its own has reasons for it (`docs/adr/0025`). */
function poolOptions({ database }: AppConfig, connection: Connection): DataSourceOptions {
  const { url, directUrl, poolSize } = database;
  return url !== null && directUrl !== null
    ? dataSourceOptions({ url }, poolSize, { isPooler: true })
    : dataSourceOptions(connection, poolSize);
}

function replicasOf({ database }: AppConfig, primary: DataSource): Replica[] {
  const traits = { isReadOnly: true, isPooler: database.directUrl !== null };
  return database.replicaUrls.map(
    (url) =>
      new Replica({ url }, () => ({
        ...dataSourceOptions({ url }, database.replicaPoolSize, traits),
        entities: primary.options.entities,
      })),
  );
}
