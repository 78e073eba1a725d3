/**
 * The schema version of a database, as its migration tool records it: kept with a backup, so that one knows which
 * release of the application fits it.
 */
import { BackplanError } from '../errors.ts';
import { type Client, identifier, sqlState } from './client.ts';

/** Where a tool keeps its records and what to ask them. `TABLE` stands for the quoted name of the table found. */
interface Preset {
  /** Default names, the newer first. */
  readonly tables: readonly string[];
  readonly query: string;
}

const PRESETS = {
  // https://www.prisma.io/docs/orm/prisma-migrate
  prisma: {
    tables: ['_prisma_migrations'],
    query:
      'SELECT migration_name FROM TABLE WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY finished_at DESC, migration_name DESC LIMIT 1',
  },
  // https://documentation.red-gate.com/flyway: the schema history table
  flyway: {
    tables: ['flyway_schema_history', 'schema_version'],
    query:
      'SELECT version FROM TABLE WHERE success AND version IS NOT NULL ORDER BY installed_rank DESC LIMIT 1',
  },
  // https://docs.liquibase.com: DATABASECHANGELOG
  liquibase: {
    tables: ['databasechangelog', 'DATABASECHANGELOG'],
    query: 'SELECT id FROM TABLE ORDER BY dateexecuted DESC, orderexecuted DESC LIMIT 1',
  },
  knex: { tables: ['knex_migrations'], query: 'SELECT name FROM TABLE ORDER BY id DESC LIMIT 1' },
  // A database may stand on several heads at once.
  alembic: {
    tables: ['alembic_version'],
    query: `SELECT pg_catalog.string_agg(version_num, ', ' ORDER BY version_num) FROM TABLE`,
  },
  rails: {
    tables: ['schema_migrations'],
    query: 'SELECT version FROM TABLE ORDER BY version DESC LIMIT 1',
  },
  django: {
    tables: ['django_migrations'],
    query: `SELECT app || '.' || name FROM TABLE ORDER BY id DESC LIMIT 1`,
  },
  typeorm: { tables: ['migrations'], query: 'SELECT name FROM TABLE ORDER BY "timestamp" DESC LIMIT 1' },
  sequelize: {
    tables: ['SequelizeMeta'],
    query: 'SELECT name FROM TABLE ORDER BY name COLLATE "C" DESC LIMIT 1',
  },
  drizzle: {
    tables: ['__drizzle_migrations'],
    query: `SELECT created_at || ' ' || pg_catalog.left(hash, 12) FROM TABLE ORDER BY created_at DESC LIMIT 1`,
  },
  // A rolled-back version has a newer row that says so.
  goose: {
    tables: ['goose_db_version'],
    query: `SELECT version_id::text FROM (SELECT DISTINCT ON (version_id) version_id, is_applied FROM TABLE ORDER BY version_id, id DESC) newest
             WHERE is_applied ORDER BY version_id DESC LIMIT 1`,
  },
  'golang-migrate': {
    tables: ['schema_migrations'],
    query: `SELECT version::text || CASE WHEN dirty THEN ' (dirty)' ELSE '' END FROM TABLE LIMIT 1`,
  },
} as const satisfies Record<string, Preset>;

/** The migration tools that are known by name. */
export const SCHEMA_VERSION_PRESETS = Object.keys(PRESETS);

/**
 * The preset whose records a database seems to hold. Two tools share a table name; a column tells them apart.
 * @param tables name → columns
 */
export function guessPreset(tables: ReadonlyMap<string, ReadonlySet<string>>): string | undefined {
  return Object.entries(PRESETS).find(([preset, { tables: names }]) =>
    names.some((name) => {
      const columns = tables.get(name);
      if (columns === undefined) return false;
      if (name === 'schema_migrations') return columns.has('dirty') === (preset === 'golang-migrate');
      return name !== 'migrations' || columns.has('timestamp');
    }),
  )?.[0];
}

/**
 * Asks inside the caller's transaction, which goes on whatever happens. null: nothing recorded (no table, no row).
 * @param definition a preset's name or a query whose first column of its first row is the version
 * @param onProblem told why a version could not be read; that never fails a backup
 */
export async function schemaVersion(
  client: Client,
  definition: string | { readonly sql: string } | undefined,
  onProblem: (message: string) => void,
): Promise<string | null> {
  if (definition === undefined) return null;
  // The caller's snapshot has an empty search_path; the plan's query is written for the usual one.
  await client.query('SAVEPOINT backplan_schema_version; SET LOCAL search_path TO DEFAULT');
  try {
    const query = typeof definition === 'string' ? await presetQuery(client, definition) : definition.sql;
    if (query === undefined) return null;
    const row = await client.first(query);
    const [value] = Object.values(row ?? {});
    return value === undefined || value === null ? null : text(value);
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    onProblem(`the schema version could not be read: ${error instanceof Error ? error.message : error}`);
    return null;
  } finally {
    await client
      .query('ROLLBACK TO SAVEPOINT backplan_schema_version; RELEASE SAVEPOINT backplan_schema_version')
      .catch(() => {});
  }
}

function text(value: unknown): string {
  return value instanceof Date
    ? value.toISOString()
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value);
}

/** The table is looked for where the role would find it, then in any schema, public first. */
async function presetQuery(client: Client, name: string): Promise<string | undefined> {
  const preset: Preset | undefined = Object.hasOwn(PRESETS, name)
    ? PRESETS[name as keyof typeof PRESETS]
    : undefined;
  if (preset === undefined) {
    throw new BackplanError('INPUT_INVALID', `"${name}" is no known schema version preset`, {
      hint: `Known are ${SCHEMA_VERSION_PRESETS.join(', ')}; or write schemaVersion: {sql: "select …"}.`,
    });
  }
  const row = await client.first<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v') AND c.relname = ANY ($1::text[]) AND n.nspname !~ '^pg_'
      ORDER BY pg_catalog.array_position($1::text[], c.relname::text), pg_catalog.pg_table_is_visible(c.oid) DESC,
               n.nspname <> 'public', n.nspname LIMIT 1`,
    [preset.tables],
  );
  if (row === undefined) return undefined;
  return preset.query.replaceAll('TABLE', () => `${identifier(row.schema)}.${identifier(row.name)}`);
}
