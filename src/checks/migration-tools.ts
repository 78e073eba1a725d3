/**
 * Where each migration tool records what it did, as far as its table says it. `TABLE` stands for the quoted name of
 * the table found. Each query yields `name`, `state` (done, unfinished, failed, undone) and `checksum`.
 */
import {
  alembicFiles,
  djangoFiles,
  drizzleFiles,
  flywayFiles,
  namedFiles,
  numberedFiles,
  prismaFiles,
  type ReadFiles,
  typeormFiles,
} from './migration-files.ts';

export interface MigrationTool {
  /** Default names of the table, the newer first. */
  readonly tables: readonly string[];
  readonly applied: string;
  /** Reads a folder; undefined where what it holds cannot be compared with the table. */
  readonly files?: ReadFiles;
  /** A table that holds a lock while the tool runs, and the condition for a lock that is held. */
  readonly lock?: { readonly table: string; readonly held: string };
  /** Only the newest are recorded, not all. */
  readonly headsOnly?: boolean;
  /** What fixes a migration that ended half-way. */
  readonly repair: string;
}

const DONE = `'done' AS state, NULL::pg_catalog.text AS checksum`;

export const MIGRATION_TOOLS = {
  // https://www.prisma.io/docs/orm/prisma-migrate
  prisma: {
    tables: ['_prisma_migrations'],
    applied: `SELECT migration_name AS name, CASE WHEN rolled_back_at IS NOT NULL THEN 'undone' WHEN finished_at IS NOT NULL THEN 'done'
      WHEN coalesce(logs, '') <> '' THEN 'failed' ELSE 'unfinished' END AS state, checksum FROM TABLE ORDER BY started_at`,
    files: prismaFiles,
    repair: 'Look at what it did, then: prisma migrate resolve --applied or --rolled-back NAME.',
  },
  // https://documentation.red-gate.com/flyway: the schema history table
  flyway: {
    tables: ['flyway_schema_history', 'schema_version'],
    applied: `SELECT script AS name, CASE WHEN NOT success THEN 'failed' WHEN type LIKE 'UNDO%' THEN 'undone' ELSE 'done' END AS state,
      checksum::pg_catalog.text FROM TABLE WHERE type IN ('SQL', 'JDBC', 'SPRING_JDBC', 'SCRIPT', 'SQL_BASELINE') ORDER BY installed_rank`,
    files: flywayFiles,
    repair: 'Look at what it did, then: flyway repair.',
  },
  // https://docs.liquibase.com: DATABASECHANGELOG, DATABASECHANGELOGLOCK
  liquibase: {
    tables: ['databasechangelog', 'DATABASECHANGELOG'],
    applied: `SELECT filename || '::' || id || '::' || author AS name, CASE WHEN exectype = 'FAILED' THEN 'failed' ELSE 'done' END AS state,
      md5sum AS checksum FROM TABLE ORDER BY orderexecuted`,
    lock: { table: 'databasechangeloglock', held: 'locked' },
    repair: 'Look at what it did, then run liquibase update again.',
  },
  knex: {
    tables: ['knex_migrations'],
    applied: `SELECT name, ${DONE} FROM TABLE ORDER BY id`,
    files: namedFiles,
    lock: { table: 'knex_migrations_lock', held: 'is_locked = 1' },
    repair: 'Look at what it did, then run it again.',
  },
  sequelize: {
    tables: ['SequelizeMeta'],
    applied: `SELECT name, ${DONE} FROM TABLE ORDER BY name COLLATE "C"`,
    files: namedFiles,
    repair: 'Look at what it did, then run it again.',
  },
  alembic: {
    tables: ['alembic_version'],
    applied: `SELECT version_num AS name, ${DONE} FROM TABLE ORDER BY 1`,
    files: alembicFiles,
    headsOnly: true,
    repair: 'Look at what it did, then: alembic upgrade head.',
  },
  rails: {
    tables: ['schema_migrations'],
    applied: `SELECT pg_catalog.ltrim(version, '0') AS name, ${DONE} FROM TABLE ORDER BY 1`,
    files: numberedFiles,
    repair: 'Look at what it did, then: rails db:migrate.',
  },
  django: {
    tables: ['django_migrations'],
    applied: `SELECT app || '.' || name AS name, ${DONE} FROM TABLE ORDER BY id`,
    files: djangoFiles,
    repair: 'Look at what it did, then: manage.py migrate.',
  },
  typeorm: {
    tables: ['migrations', 'typeorm_migrations'],
    applied: `SELECT "timestamp"::pg_catalog.text AS name, ${DONE} FROM TABLE ORDER BY id`,
    files: typeormFiles,
    repair: 'Look at what it did, then: typeorm migration:run.',
  },
  drizzle: {
    tables: ['__drizzle_migrations'],
    applied: `SELECT created_at::pg_catalog.text AS name, 'done' AS state, hash AS checksum FROM TABLE ORDER BY created_at`,
    files: drizzleFiles,
    repair: 'Look at what it did, then: drizzle-kit migrate.',
  },
  // Only the newest version, and whether it ended half-way.
  'golang-migrate': {
    tables: ['schema_migrations'],
    applied: `SELECT version::pg_catalog.text AS name, CASE WHEN dirty THEN 'unfinished' ELSE 'done' END AS state, NULL::pg_catalog.text AS checksum FROM TABLE`,
    repair: 'Look at what it did, then: migrate force VERSION.',
  },
  // A rolled-back version has a newer row that says so.
  goose: {
    tables: ['goose_db_version'],
    applied: `SELECT version_id::pg_catalog.text AS name, CASE WHEN is_applied THEN 'done' ELSE 'undone' END AS state, NULL::pg_catalog.text AS checksum
      FROM (SELECT DISTINCT ON (version_id) version_id, is_applied FROM TABLE WHERE version_id > 0 ORDER BY version_id, id DESC) AS newest ORDER BY version_id`,
    files: numberedFiles,
    repair: 'Look at what it did, then: goose up.',
  },
} as const satisfies Record<string, MigrationTool>;

export type MigrationToolName = keyof typeof MIGRATION_TOOLS;
export const MIGRATION_TOOL_NAMES = Object.keys(MIGRATION_TOOLS) as readonly MigrationToolName[];
