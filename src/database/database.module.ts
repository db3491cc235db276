import { type DynamicModule, Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AppConfig } from '../config/app-config.js';
import { CONNECTION, dataSourceOptions, type Connection } from './connection.js';
import { DatabaseListener } from './database-listener.js';
import { PreparedStatements } from './prepared-statements.js';

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
            ...dataSourceOptions(connection, config.database.poolSize),
            autoLoadEntities: true,
            retryAttempts: 0,
          }),
        }),
      ],
      providers: [PreparedStatements, DatabaseListener, { provide: CONNECTION, useValue: connection }],
      exports: [PreparedStatements, DatabaseListener, CONNECTION],
    };
  }
}
