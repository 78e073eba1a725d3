/**
 * Damages that change one fact of the catalog and nothing else, so that a check that goes red has seen that very fact.
 * It is a lie about a copy that is rolled back before anybody reads a row by it.
 */
import type { CheckClient } from '../checks/check-kind.ts';
import { requireTable } from '../checks/names.ts';
import { identifier, literal } from '../postgres/client.ts';
import { type Column, loadColumns } from '../postgres/columns.ts';
import { parseName } from '../postgres/object-name.ts';
import type { Damage, Existence } from './mutation.ts';

/** How an object is called that has another name from now on. */
export const OTHER = '"backplan: renamed"';

/** A name of a plan as SQL; without a schema the object is made in public. */
export function qualified(text: string): string {
  const { schema = 'public', name } = parseName(text);
  return `${identifier(schema)}.${identifier(name)}`;
}

export interface Statement extends Record<string, unknown> {
  readonly sql: string;
}

/** A text as SQL. */
export function text(value: string): string {
  return literal(value).trim();
}

/** One fact in the catalog `table` (a name in pg_catalog): `set` where `where`. */
export function lie(aspect: string, table: string, set: string, where: string): Damage {
  return { what: aspect, aspect, sql: [`UPDATE pg_catalog.${table} SET ${set} WHERE ${where}`] };
}

/** Several ways to break the same aspect. */
export function aspectOf(aspect: string, ...damages: readonly Omit<Damage, 'aspect'>[]): Damage[] {
  return damages.map((each) => ({ ...each, aspect }));
}

interface ColumnSpec extends Existence {
  readonly type?: unknown;
  readonly nullable?: unknown;
  readonly default?: string | boolean | null;
  readonly generated?: unknown;
  readonly identity?: unknown;
  readonly collation?: unknown;
}

/** Everything that a check says of columns, one by one. */
export async function columnDamages(
  client: CheckClient,
  table: string,
  wanted: Readonly<Record<string, string | ColumnSpec>>,
  exact: boolean,
): Promise<Damage[]> {
  const { oid, sql } = await requireTable(client, table);
  const known = new Map((await loadColumns(client, [oid])).get(oid)?.map((each) => [each.name, each]));
  const damages = Object.entries(wanted).flatMap(([name, spec]) => {
    const column = identifier(name);
    const facts: ColumnSpec = typeof spec === 'string' ? { type: spec } : spec;
    if (facts.exists === false) {
      return aspectOf(`add column ${name}`, {
        what: `add column ${name}`,
        sql: [`ALTER TABLE ${sql} ADD COLUMN ${column} pg_catalog.text`],
      });
    }
    const where = `attrelid = ${oid} AND attname = ${text(name)}`;
    const say = (what: string, set: string) => lie(`${what} of ${name}`, 'pg_attribute', set, where);
    const swap = (at: string, one: string, other: string) =>
      `${at} = CASE WHEN ${at} = ${one} THEN ${other} ELSE ${one} END`;
    const c = `(SELECT oid FROM pg_catalog.pg_collation WHERE collname = 'C' LIMIT 1)`;
    const posix = `(SELECT oid FROM pg_catalog.pg_collation WHERE collname = 'POSIX' LIMIT 1)`;
    return [
      ...aspectOf(`name of ${name}`, {
        what: `rename column ${name}`,
        sql: [`ALTER TABLE ${sql} RENAME COLUMN ${column} TO ${OTHER}`],
      }),
      ...(facts.type === undefined ? [] : [say('type', `${swap('atttypid', '25', '16')}, atttypmod = -1`)]),
      ...(facts.nullable === undefined ? [] : [say('nullability', 'attnotnull = NOT attnotnull')]),
      ...(facts.identity === undefined
        ? []
        : [
            say(
              'identity',
              `attidentity = CASE attidentity WHEN '' THEN 'a' WHEN 'a' THEN 'd' ELSE '' END::pg_catalog."char"`,
            ),
          ]),
      ...(facts.generated === undefined
        ? []
        : [
            say(
              'generation',
              `attgenerated = CASE attgenerated WHEN '' THEN 's' ELSE '' END::pg_catalog."char"`,
            ),
          ]),
      ...(facts.collation === undefined ? [] : [say('collation', swap('attcollation', c, posix))]),
      ...(facts.default === undefined ? [] : defaultDamage(oid, sql, name, facts.default, known.get(name))),
    ];
  });
  if (!exact) return damages;
  const more = {
    what: 'one column more',
    sql: [`ALTER TABLE ${sql} ADD COLUMN "backplan: one more" pg_catalog.text`],
  };
  return [...damages, ...aspectOf('one column more', more)];
}

function defaultDamage(
  oid: number,
  sql: string,
  name: string,
  wanted: string | boolean | null,
  column: Column | undefined,
): Damage[] {
  const aspect = `default of ${name}`;
  if (wanted === false || wanted === null) {
    // What is generated can have no default.
    if (column === undefined || column.generated !== '') return [];
    const alter = `ALTER TABLE ${sql} ALTER COLUMN ${identifier(name)}`;
    // A NULL that the parser does not see through: a plain one would be no default.
    const set = `${alter} SET DEFAULT CASE WHEN true THEN NULL::${column.type} END`;
    return aspectOf(aspect, { what: `a ${aspect}`, sql: [`${alter} DROP IDENTITY IF EXISTS`, set] });
  }
  const where = `attrelid = ${oid} AND attname = ${text(name)}`;
  return aspectOf(aspect, {
    what: `no ${aspect}`,
    sql: [
      `DELETE FROM pg_catalog.pg_attrdef WHERE adrelid = ${oid} AND adnum = (SELECT attnum FROM pg_catalog.pg_attribute WHERE ${where})`,
      `UPDATE pg_catalog.pg_attribute SET atthasdef = false WHERE ${where}`,
    ],
  });
}

export interface IndexSpec {
  readonly columns?: unknown;
  readonly include?: unknown;
  readonly unique?: unknown;
  readonly method?: unknown;
  readonly where?: string | boolean;
}

/** What a check says of an index besides its name. `found` and `on` are quoted and qualified. */
export function indexDamages(found: string, name: string, on: string, spec: IndexSpec): Damage[] {
  const oid = `${text(found)}::pg_catalog.regclass`;
  const itself = `indexrelid = ${oid}`;
  const anew = (rest: string) => [
    `DROP INDEX ${found} CASCADE`,
    `CREATE INDEX ${identifier(name)} ON ${on} ${rest}`,
  ];
  return [
    lie('validity', 'pg_index', 'indisvalid = false', itself),
    ...(spec.unique === undefined
      ? []
      : [lie('uniqueness', 'pg_index', 'indisunique = NOT indisunique', itself)]),
    ...(spec.columns === undefined
      ? []
      : aspectOf('columns', {
          // Of an expression it is not known which it names.
          what: 'its first column has another name',
          sql: [
            `UPDATE pg_catalog.pg_attribute AS a SET attname = 'backplan: ' || a.attnum FROM pg_catalog.pg_index AS i WHERE i.${itself} AND a.attrelid = i.indrelid AND a.attnum > 0 AND i.indkey[0] IN (0, a.attnum)`,
          ],
        })),
    ...(spec.include === undefined
      ? []
      : aspectOf('what it carries along', { what: 'without INCLUDE', sql: anew('((1))') })),
    ...(spec.method === undefined
      ? []
      : [
          lie(
            'method',
            'pg_class',
            `relam = (SELECT other.oid FROM pg_catalog.pg_am AS other WHERE other.amtype = 'i' AND other.oid <> relam AND other.amname IN ('btree', 'hash') ORDER BY other.amname LIMIT 1)`,
            `oid = ${oid}`,
          ),
        ]),
    ...(spec.where === undefined
      ? []
      : spec.where === false
        ? aspectOf('condition', {
            what: 'a partial index',
            sql: [
              `CREATE INDEX "backplan: partial" ON ${on} ((1)) WHERE (1 > 0)`,
              `UPDATE pg_catalog.pg_index SET indpred = (SELECT other.indpred FROM pg_catalog.pg_index AS other JOIN pg_catalog.pg_class AS c ON c.oid = other.indexrelid WHERE c.relname = 'backplan: partial') WHERE ${itself}`,
            ],
          })
        : [lie('condition', 'pg_index', 'indpred = NULL', itself)]),
  ];
}
