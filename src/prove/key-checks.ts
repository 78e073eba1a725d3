/** Mutations for checks of keys, references, constraints and indexes. */
import { findIndex, findTable, isMissing, requireTable } from '../checks/names.ts';
import { identifier } from '../postgres/client.ts';
import { parseName } from '../postgres/object-name.ts';
import {
  aspectOf,
  type IndexSpec,
  indexDamages,
  lie,
  OTHER,
  qualified,
  type Statement,
  text,
} from './catalog.ts';
import { damage, type Existence, type Mutation, mutation } from './mutation.ts';
import { breakValues, deleteRows, rowsOf } from './rows.ts';

/** Statements that drop what guards keys of a table. Source: catalog-pg-constraint.html, catalog-pg-index.html */
const DROP_KEYS = `
SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', c.conrelid::pg_catalog.regclass, c.conname) AS sql
FROM pg_catalog.pg_constraint c
WHERE c.conrelid = $1::pg_catalog.oid AND c.contype::pg_catalog.text = ANY ($2::pg_catalog.text[])
UNION ALL
SELECT pg_catalog.format('DROP INDEX IF EXISTS %s', i.indexrelid::pg_catalog.regclass)
FROM pg_catalog.pg_index i
WHERE i.indrelid = $1::pg_catalog.oid AND i.indisunique AND 'u' = ANY ($2::pg_catalog.text[])
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('u', 'p', 'x'))`;

interface Keys extends Existence {
  readonly table: string;
  readonly columns?: readonly string[];
}

function keys(kind: string, types: readonly string[], make: string): Mutation {
  return mutation<Keys>(kind, async (client, { table: name, columns: list = [], exists }) => {
    const found = await requireTable(client, name);
    if (exists === false) {
      const on = list.map(identifier).join(', ');
      return [damage(`add ${make} (${on})`, `ALTER TABLE ${found.sql} ADD ${make} (${on})`)];
    }
    const sql = (await client.query<Statement>(DROP_KEYS, [found.oid, types])).map((each) => each.sql);
    const kindOfIndex = types.includes('u') ? 'indisunique' : 'indisprimary';
    return [
      damage(`drop the keys of ${name}`, ...sql),
      lie('validity', 'pg_index', 'indisvalid = false', `indrelid = ${found.oid} AND ${kindOfIndex}`),
    ];
  });
}

const primaryKey = keys('primaryKey', ['p'], 'PRIMARY KEY');
const unique = keys('unique', ['u', 'p'], 'UNIQUE');

interface Reference extends Keys {
  readonly columns: readonly string[];
  readonly references: { readonly table: string; readonly columns: readonly string[] };
  readonly data?: boolean;
  readonly validated?: boolean;
  readonly onDelete?: string;
  readonly onUpdate?: string;
  readonly deferrable?: boolean;
}

const foreignKey = mutation<Reference>('foreignKey', async (client, params, options) => {
  const { table: found, columns: list } = await rowsOf(client, params.table, params.columns);
  const target = await requireTable(client, params.references.table);
  if (params.exists === false) {
    const names = (all: readonly string[]) => all.map(identifier).join(', ');
    return [
      damage(
        'add the foreign key',
        `ALTER TABLE ${found.sql} ADD FOREIGN KEY (${names(params.columns)}) REFERENCES ${target.sql} (${names(params.references.columns)}) NOT VALID`,
      ),
    ];
  }
  const drops = await client.query<Statement>(
    `SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', conrelid::pg_catalog.regclass, conname) AS sql
     FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conrelid = $1 AND confrelid = $2
       AND conkey::pg_catalog.int4[] @> $3::pg_catalog.int4[]`,
    [found.oid, target.oid, list.map(({ number }) => number)],
  );
  const itself = `contype = 'f' AND conrelid = ${found.oid} AND confrelid = ${target.oid}`;
  const action = (at: string) => `${at} = CASE ${at} WHEN 'c' THEN 'r' ELSE 'c' END::pg_catalog."char"`;
  const say = (aspect: string, set: string) => lie(aspect, 'pg_constraint', set, itself);
  return [
    ...aspectOf('presence', damage('drop the foreign key', ...drops.map(({ sql }) => sql))),
    ...(params.validated === false ? [] : [say('validity', 'convalidated = false')]),
    ...aspectOf('triggers', damage('disable its triggers', `ALTER TABLE ${found.sql} DISABLE TRIGGER ALL`)),
    ...(params.onDelete === undefined ? [] : [say('ON DELETE', action('confdeltype'))]),
    ...(params.onUpdate === undefined ? [] : [say('ON UPDATE', action('confupdtype'))]),
    ...(params.deferrable === undefined ? [] : [say('deferrability', 'condeferrable = NOT condeferrable')]),
    ...(params.data === false
      ? []
      : aspectOf('data', ...breakValues({ table: found, columns: list }, options), deleteRows(target, {}))),
  ];
});

const constraint = mutation<
  Existence & { table?: string; domain?: string; name: string; validated?: boolean }
>('constraint', async (client, { table: on, domain, name, exists, validated }) => {
  const doubt = (owner: string) =>
    validated === false
      ? []
      : [lie('validity', 'pg_constraint', 'convalidated = false', `conname = ${text(name)} AND ${owner}`)];
  if (on === undefined) {
    const type = qualified(domain ?? '');
    return exists === false
      ? [
          damage(
            'add the constraint',
            `ALTER DOMAIN ${type} ADD CONSTRAINT ${identifier(name)} CHECK (true) NOT VALID`,
          ),
        ]
      : [
          damage('drop the constraint', `ALTER DOMAIN ${type} DROP CONSTRAINT ${identifier(name)}`),
          ...doubt('contypid <> 0'),
        ];
  }
  const { oid, sql } = await requireTable(client, on);
  return exists === false
    ? [
        damage(
          'add the constraint',
          `ALTER TABLE ${sql} ADD CONSTRAINT ${identifier(name)} CHECK (true) NOT VALID`,
        ),
      ]
    : [
        damage('drop the constraint', `ALTER TABLE ${sql} DROP CONSTRAINT ${identifier(name)} CASCADE`),
        ...doubt(`conrelid = ${oid}`),
      ];
});

const index = mutation<Existence & IndexSpec & { name: string; table?: string }>(
  'index',
  async (client, { name, table: on, exists, ...spec }) => {
    const owner = on === undefined ? undefined : await findTable(client, on);
    if (exists === false) {
      if (owner === undefined || isMissing(owner)) return [];
      return [
        damage('make the index', `CREATE INDEX ${identifier(parseName(name).name)} ON ${owner.sql} ((1))`),
      ];
    }
    const schema = owner === undefined || isMissing(owner) ? undefined : owner.schema;
    const found = await findIndex(client, name, schema);
    if (isMissing(found)) return [];
    const [row] = await client.query<{ sql: string }>(
      'SELECT indrelid::pg_catalog.regclass::pg_catalog.text AS sql FROM pg_catalog.pg_index WHERE indexrelid = $1::pg_catalog.regclass',
      [found.sql],
    );
    return [
      damage('rename the index', `ALTER INDEX ${found.sql} RENAME TO ${OTHER}`),
      ...indexDamages(found.sql, parseName(name).name, row?.sql ?? '', spec),
    ];
  },
);

export const keyMutations: readonly Mutation[] = [primaryKey, unique, foreignKey, constraint, index];
