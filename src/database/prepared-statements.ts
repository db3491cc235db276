import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Pool, QueryResultRow } from 'pg';
import { DataSource } from 'typeorm';

export interface PreparedStatement {
  /** One for each text: the server keeps the plan of each connection under it. */
  readonly name: string;
  readonly text: string;
}

/**
 * Named prepared statements straight on the driver's pool, for queries that every request makes: parsed and planned once a
 * connection, and without TypeORM's hydration (`docs/adr/0004`). Everything else goes through repositories.
 */
@Injectable()
export class PreparedStatements {
  private readonly pool: Pool;

  constructor(@InjectDataSource() dataSource: DataSource) {
    this.pool = (dataSource.driver as unknown as { master: Pool }).master;
  }

  async first<Row extends QueryResultRow>(statement: PreparedStatement, values: unknown[]): Promise<Row | null> {
    const { rows } = await this.pool.query<Row>({ name: statement.name, text: statement.text, values });
    return rows[0] ?? null;
  }
}
