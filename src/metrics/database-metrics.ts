import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Pool } from 'pg';
import { Registry } from 'prom-client';
import { DataSource } from 'typeorm';
import { AppConfig } from '../config/app-config.js';
import { DatabaseListener } from '../database/database-listener.js';
import { type PreparedStatement, PreparedStatements } from '../database/prepared-statements.js';
import { addGauge, addLabelledGauge, impatiently } from './gauge.js';

/** On the way of the access check: what has to work for every request. */
const PROBE: PreparedStatement = { name: 'probe', text: 'SELECT 1' };

/** The database, and the connections that this node has to it. */
@Injectable()
export class DatabaseMetrics {
  constructor(
    registry: Registry,
    config: AppConfig,
    @InjectDataSource() database: DataSource,
    statements: PreparedStatements,
    listener: DatabaseListener,
  ) {
    const probe = impatiently(() => statements.first(PROBE, []));
    const up = {
      name: 'gatehouse_database_up',
      help: '1 if the database has answered within a second',
      aggregator: 'min' as const,
    };
    addGauge(registry, up, () => probe().then(toOne, toZero));
    const heard = {
      name: 'gatehouse_database_listener_connected',
      help: '1 if the database’s announcements are heard',
      aggregator: 'min' as const,
    };
    addGauge(registry, heard, () => Number(listener.isConnected));
    this.addPool(registry, poolOf(database), config.database.poolSize);
  }

  private addPool(registry: Registry, pool: Pool, size: number): void {
    const open = { name: 'gatehouse_database_pool_connections', help: 'Connections of the pool that are open' };
    addLabelledGauge(registry, { ...open, label: 'state' }, () => ({
      idle: pool.idleCount,
      busy: pool.totalCount - pool.idleCount,
    }));
    const max = { name: 'gatehouse_database_pool_max', help: 'Connections that the pool may open' };
    addGauge(registry, max, () => size);
    const waiting = { name: 'gatehouse_database_pool_waiting', help: 'Queries that wait for a connection of the pool' };
    addGauge(registry, waiting, () => pool.waitingCount);
  }
}

/** TypeORM keeps it to itself. */
const poolOf = ({ driver }: DataSource): Pool => (driver as unknown as { master: Pool }).master;

const toOne = () => 1;
const toZero = () => 0;
