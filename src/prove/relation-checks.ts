/** Mutations for checks of tables, views, sequences and columns. */
import { isMissingObject } from '../checks/catalog-check.ts';
import type { CheckClient } from '../checks/check-kind.ts';
import { requireTable } from '../checks/names.ts';
import { findSequences, sequencePositions } from '../checks/sequence-state.ts';
import { identifier } from '../postgres/client.ts';
import { parseName } from '../postgres/object-name.ts';
import { aspectOf, columnDamages, lie, OTHER, qualified } from './catalog.ts';
import { type Damage, damage, type Existence, type Mutation, mutation } from './mutation.ts';

/** Renames or drops a relation that must be there, or makes one that must not. */
function relation(kind: string, type: string, create: (name: string) => string): Mutation {
  return mutation<Existence & { name: string }>(kind, async (client, { name, exists }) => {
    if (exists === false) return [damage(`make ${name}`, create(qualified(name)))];
    const oids = await client.query<{ name: string }>(
      `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relname = $1 AND ($2::pg_catalog.text IS NULL OR n.nspname = $2::pg_catalog.text)
         AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       ORDER BY n.nspname <> 'public', n.nspname LIMIT 1`,
      [parseName(name).name, parseName(name).schema ?? null],
    );
    return oids.map(({ name: found }) =>
      damage(`rename ${name}`, `ALTER ${type} ${found} RENAME TO ${OTHER}`),
    );
  });
}

const table = relation('table', 'TABLE', (name) => `CREATE TABLE ${name} ()`);
const sequenceName = relation('sequence', 'SEQUENCE', (name) => `CREATE SEQUENCE ${name}`);
const viewName = relation(
  'materializedView',
  'MATERIALIZED VIEW',
  (name) => `CREATE MATERIALIZED VIEW ${name} AS SELECT 1 AS n`,
);

/** Damages to the relation itself, and more. */
function alsoOf<P extends Existence & { name: string }>(
  base: Mutation,
  more: (client: CheckClient, params: P) => Promise<readonly Damage[]>,
): Mutation {
  return mutation<P>(base.kind, async (client, params, options) => [
    ...(await base.damages(client, params, options)),
    ...(params.exists === false ? [] : await more(client, params)),
  ]);
}

const materializedView = alsoOf<Existence & { name: string; populated?: boolean }>(
  viewName,
  async (client, { name, populated }) => {
    const { oid } = await requireTable(client, name);
    return populated === false
      ? []
      : [lie('rows in it', 'pg_class', 'relispopulated = false', `oid = ${oid}`)];
  },
);

interface SequenceSpec extends Existence {
  readonly name: string;
  readonly table?: string;
  readonly increment?: number;
  readonly type?: string;
  readonly ahead?: boolean;
}

const sequence = alsoOf<SequenceSpec>(sequenceName, async (client, wanted) => {
  const [found] = await findSequences(client, [wanted.name]);
  const [one] = found === undefined || isMissingObject(found) ? [] : found;
  if (one === undefined) return [];
  const used = (await sequencePositions(client, [one])).get(one.oid)?.used ?? [];
  const itself = `seqrelid = ${one.oid}`;
  const anew = `ALTER SEQUENCE ${identifier(one.schema)}.${identifier(one.name)} RESTART WITH ${one.min}`;
  return [
    ...(wanted.ahead === false || !used.some(({ value }) => value >= BigInt(one.min))
      ? []
      : aspectOf('being ahead', damage(`${wanted.name} starts anew`, anew))),
    ...(wanted.increment === undefined
      ? []
      : [lie('increment', 'pg_sequence', 'seqincrement = seqincrement + 1', itself)]),
    ...(wanted.type === undefined
      ? []
      : [lie('type', 'pg_sequence', 'seqtypid = CASE seqtypid WHEN 20 THEN 23 ELSE 20 END', itself)]),
    ...(wanted.table === undefined
      ? []
      : aspectOf(
          'owner',
          damage(
            'owned by no column',
            `DELETE FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objid = ${one.oid} AND refobjsubid > 0`,
          ),
        )),
  ];
});
const view = relation('view', 'VIEW', (name) => `CREATE VIEW ${name} AS SELECT 1 AS n`);

type Tables =
  | readonly string[]
  | (Existence & { readonly names: readonly string[]; readonly exact?: boolean; schema?: string });

const tables = mutation<Tables>('tables', async (client, params) => {
  const list = Array.isArray(params)
    ? { names: params as readonly string[] }
    : (params as Exclude<Tables, readonly string[]>);
  if (list.exists === false) {
    return list.names.map((name) => damage(`make ${name}`, `CREATE TABLE ${qualified(name)} ()`));
  }
  if (list.exact === true) {
    return [
      damage('one table more', `CREATE TABLE ${identifier(list.schema ?? 'public')}."backplan: one more" ()`),
    ];
  }
  const damages: Damage[] = [];
  for (const name of list.names) {
    const found = await requireTable(client, name);
    damages.push(damage(`rename ${name}`, `ALTER TABLE ${found.sql} RENAME TO ${OTHER}`));
  }
  return damages;
});

const columns = mutation<{
  table: string;
  columns: Parameters<typeof columnDamages>[2];
  exact?: boolean;
}>('columns', async (client, { table: name, columns: wanted, exact }) =>
  columnDamages(client, name, wanted, exact === true),
);

/** Values of sequences are set in their definition: unlike setval that is undone by ROLLBACK. */
const sequences = mutation<object>('sequences', async (client) => {
  const all = await client.query<{ name: string; max: string }>(
    `SELECT pg_catalog.format('%I.%I', schemaname, sequencename) AS name, max_value::pg_catalog.text AS max
     FROM pg_catalog.pg_sequences WHERE increment_by > 0 ORDER BY last_value DESC NULLS LAST LIMIT 20`,
  );
  return all.flatMap(({ name, max }) => [
    damage(`${name} starts anew`, `ALTER SEQUENCE ${name} RESTART`),
    damage(`${name} is at its end`, `ALTER SEQUENCE ${name} RESTART WITH ${max}`),
  ]);
});

export const relationMutations: readonly Mutation[] = [
  tables,
  table,
  columns,
  view,
  materializedView,
  sequence,
  sequences,
];
