/** Whether a database has what an archive says: the last look after a restore that claims to have succeeded. */
import { BackplanError } from '../errors.ts';
import type { Client } from './client.ts';
import type { ArchiveEntry } from './toc.ts';

const RELATION = (kinds: string) =>
  `EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = w.schema AND c.relname = w.name AND c.relkind IN (${kinds}))`;

/** Objects whose entry is named `table object`. */
const ON_TABLE = (catalog: string, name: string, relation: string) =>
  `EXISTS (SELECT FROM pg_catalog.${catalog} o JOIN pg_catalog.pg_class c ON c.oid = o.${relation}
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = w.schema AND c.relname || ' ' || o.${name} = w.name)`;

const IN_SCHEMA = (catalog: string, prefix: string) =>
  `EXISTS (SELECT FROM pg_catalog.${catalog} o JOIN pg_catalog.pg_namespace n ON n.oid = o.${prefix}namespace
    WHERE n.nspname = w.schema AND o.${prefix}name = w.name)`;

/** Functions are listed as `name(arguments)`; the name alone is looked for. */
const ROUTINE = `EXISTS (SELECT FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace
    WHERE n.nspname = w.schema AND pg_catalog.starts_with(w.name, o.proname || '('))`;

const PLAIN = (catalog: string, name: string) =>
  `EXISTS (SELECT FROM pg_catalog.${catalog} o WHERE o.${name} = w.name)`;

/** Type of entry → whether object `w` exists. Types that are not here are not looked for. */
const EXISTS: Readonly<Record<string, string>> = {
  TABLE: RELATION("'r', 'p'"),
  'FOREIGN TABLE': RELATION("'f'"),
  VIEW: RELATION("'v'"),
  'MATERIALIZED VIEW': RELATION("'m'"),
  SEQUENCE: RELATION("'S'"),
  INDEX: RELATION("'i', 'I'"),
  CONSTRAINT: ON_TABLE('pg_constraint', 'conname', 'conrelid'),
  'FK CONSTRAINT': ON_TABLE('pg_constraint', 'conname', 'conrelid'),
  TRIGGER: ON_TABLE('pg_trigger', 'tgname', 'tgrelid'),
  RULE: ON_TABLE('pg_rewrite', 'rulename', 'ev_class'),
  POLICY: ON_TABLE('pg_policy', 'polname', 'polrelid'),
  TYPE: IN_SCHEMA('pg_type', 'typ'),
  DOMAIN: IN_SCHEMA('pg_type', 'typ'),
  COLLATION: IN_SCHEMA('pg_collation', 'coll'),
  STATISTICS: IN_SCHEMA('pg_statistic_ext', 'stx'),
  FUNCTION: ROUTINE,
  PROCEDURE: ROUTINE,
  AGGREGATE: ROUTINE,
  SCHEMA: PLAIN('pg_namespace', 'nspname'),
  EXTENSION: PLAIN('pg_extension', 'extname'),
  PUBLICATION: PLAIN('pg_publication', 'pubname'),
  'EVENT TRIGGER': PLAIN('pg_event_trigger', 'evtname'),
  BLOB: 'EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata o WHERE o.oid::text = w.name)',
};

/** Of some entries, those whose object the connected database does not have. */
export async function missingEntries(
  client: Client,
  entries: readonly ArchiveEntry[],
): Promise<ArchiveEntry[]> {
  const missing: ArchiveEntry[] = [];
  for (const [type, exists] of Object.entries(EXISTS)) {
    // A table in the dump may replace a view's placeholder; names with line breaks are listed changed.
    const wanted = entries.filter((entry) => entry.type === type && !/[\r\n]/.test(entry.name));
    if (wanted.length === 0) continue;
    const rows = await client.query<{ position: string }>(
      `SELECT w.position FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) WITH ORDINALITY AS w(schema, name, position)
        WHERE NOT ${exists}`,
      [wanted.map((entry) => entry.schema ?? ''), wanted.map((entry) => entry.name)],
    );
    for (const { position } of rows) {
      const entry = wanted[Number(position) - 1];
      if (entry !== undefined) missing.push(entry);
    }
  }
  return missing;
}

/** @throws RESTORE_INCOMPLETE naming types and objects */
export async function assertComplete(client: Client, entries: readonly ArchiveEntry[]): Promise<void> {
  const missing = await missingEntries(client, entries);
  if (missing.length === 0) return;
  const byType = Map.groupBy(missing, (entry) => entry.type);
  throw new BackplanError(
    'RESTORE_INCOMPLETE',
    `the restored database lacks ${[...byType].map(([type, list]) => `${list.length} ${type}`).join(', ')} of what the archive holds`,
    {
      detail: missing
        .slice(0, 50)
        .map(({ type, schema, name }) => `${type} ${schema === null ? '' : `${schema}.`}${name}`)
        .join('\n'),
      hint: 'Do not trust this copy. Verify the backup (backplan verify) and look at the log of the restore.',
    },
  );
}
