import { identifier } from '../postgres/client.ts';
import { tableNameSchema } from '../schema.ts';
import {
  absence,
  conclude,
  defineCatalogCheck,
  existenceTitle,
  existsSchema,
  failed,
  withoutTable,
} from './catalog-check.ts';
import type { Finding } from './check-kind.ts';
import { findTables, isMissing, parseName, type Relation, showName } from './names.ts';

interface PartitionFacts extends Record<string, unknown> {
  parent: number;
  schema: string;
  name: string;
  bound: string;
  pending: boolean;
}

interface ParentFacts extends Record<string, unknown> {
  oid: number;
  key: string;
}

/** `partition: {table: Event, partitions: [Event_2026]}`: the table is partitioned and these are attached to it. */
export const partition = defineCatalogCheck({
  kind: 'partition',
  summary: 'A table is partitioned by this key and these partitions are attached, with these bounds.',
  params: {
    type: 'object',
    description: 'A partitioned table and what must be attached to it.',
    required: ['table'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The partitioned table.', examples: ['Event'] },
      by: {
        type: 'string',
        minLength: 1,
        description: 'Its key, as PostgreSQL writes it, without regard to spaces, quotes and case.',
        examples: ['RANGE (at)'],
      },
      partitions: {
        anyOf: [
          { type: 'array', items: { type: 'string', minLength: 1 }, uniqueItems: true },
          { type: 'object', additionalProperties: { type: 'string', minLength: 1 } },
        ],
        description:
          'Names of partitions, or name → bounds as PostgreSQL writes them after FOR VALUES, or DEFAULT.',
        examples: [
          ['Event_2026'],
          { Event_2026: "FROM ('2026-01-01') TO ('2027-01-01')", Event_rest: 'DEFAULT' },
        ],
      },
      default: { type: 'boolean', description: 'Whether there must be a default partition.' },
      minimum: { type: 'integer', minimum: 1, description: 'At least so many partitions.', examples: [12] },
      exact: { type: 'boolean', description: 'true: no other partitions are attached.' },
      exists: {
        ...existsSchema,
        description:
          'false: these partitions must not be attached; without any, the table must not be partitioned.',
      },
    },
    examples: [{ table: 'Event', by: 'RANGE (at)', partitions: ['Event_2026'], default: true }],
  },
  title: ({ table, partitions, exists }) => {
    const names =
      partitions === undefined ? [] : Array.isArray(partitions) ? partitions : Object.keys(partitions);
    return existenceTitle(`partition ${table}${names.length === 0 ? '' : ` (${names.join(', ')})`}`, exists);
  },
  async runAll(client, all) {
    const tables = await findTables(
      client,
      all.map(({ table }) => table),
    );
    const oids = tables.flatMap((table) => (isMissing(table) ? [] : [table.oid]));
    const parents = await client.query<ParentFacts>(
      `SELECT p.partrelid AS oid, pg_catalog.pg_get_partkeydef(p.partrelid) AS key
       FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = ANY ($1::pg_catalog.oid[])`,
      [oids],
    );
    const pending = client.serverVersion >= 140_000 ? 'h.inhdetachpending' : 'false';
    const partitions = await client.query<PartitionFacts>(
      `SELECT h.inhparent AS parent, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
         pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound, ${pending} AS pending
       FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE h.inhparent = ANY ($1::pg_catalog.oid[]) AND c.relispartition ORDER BY n.nspname, c.relname`,
      [oids],
    );
    return all.map((wanted, index): Finding => {
      const table = tables[index] as (typeof tables)[number];
      if (isMissing(table)) return withoutTable(table, wanted.exists);
      const list = wanted.partitions ?? [];
      const bounds: readonly [string, string | undefined][] = Array.isArray(list)
        ? list.map((name) => [name, undefined])
        : Object.entries(list);
      const parent = parents.find(({ oid }) => oid === table.oid);
      const own = partitions.filter((each) => each.parent === table.oid);
      if (wanted.exists === false) return judgeAbsence(table, parent, bounds, own);
      if (parent === undefined) {
        return failed(
          `${showName(table)} is not partitioned`,
          'A table cannot be made partitioned: create another one and move the rows.',
        );
      }
      return judge(table, parent, bounds, own, wanted);
    });
  },
});

function judgeAbsence(
  table: Relation,
  parent: ParentFacts | undefined,
  bounds: readonly [string, string | undefined][],
  own: readonly PartitionFacts[],
): Finding {
  if (bounds.length === 0) {
    return parent === undefined
      ? { outcome: 'passed', message: `${showName(table)} is not partitioned` }
      : failed(`${showName(table)} is partitioned by ${parent.key} and must not be`);
  }
  const attached = bounds.map(([name]) => find(name, table, own)).filter((each) => each !== undefined);
  const [first] = attached;
  return absence(
    `partition ${first === undefined ? bounds.map(([name]) => name).join(', ') : attached.map(showName).join(', ')} of ${showName(table)}`,
    first !== undefined,
    attached.map((each) => `ALTER TABLE ${table.sql} DETACH PARTITION ${quoted(each)};`).join(' '),
  );
}

function judge(
  table: Relation,
  parent: ParentFacts,
  bounds: readonly [string, string | undefined][],
  own: readonly PartitionFacts[],
  wanted: {
    readonly by?: string | undefined;
    readonly default?: boolean | undefined;
    readonly minimum?: number | undefined;
    readonly exact?: boolean | undefined;
  },
): Finding {
  const problems: { message: string; hint?: string }[] = [];
  const fold = (text: string) => text.replaceAll(/[\s"]+/g, '').toLowerCase();
  if (wanted.by !== undefined && fold(wanted.by) !== fold(parent.key)) {
    problems.push({ message: `${showName(table)} is partitioned by ${parent.key}, expected ${wanted.by}` });
  }
  for (const [name, bound] of bounds) {
    const one = find(name, table, own);
    if (one === undefined) {
      // Only one that differs by case: of names with years and numbers the nearest is another partition.
      const near = own.find((each) => each.name.toLowerCase() === parseName(name).name.toLowerCase())?.name;
      const parsed = parseName(name);
      problems.push({
        message: `${showName(parsed)} is not attached to ${showName(table)}`,
        hint:
          near === undefined
            ? `ALTER TABLE ${table.sql} ATTACH PARTITION ${quoted({ schema: parsed.schema ?? table.schema, name: parsed.name })} ${values(bound ?? '…')};`
            : `${identifier(near)} is attached, wanted ${showName(parsed)}.`,
      });
    } else if (one.pending) {
      problems.push({
        message: `${showName(one)} is half detached: its rows are no longer seen`,
        hint: `ALTER TABLE ${table.sql} DETACH PARTITION ${quoted(one)} FINALIZE;`,
      });
    } else if (bound !== undefined && plain(bound) !== plain(one.bound)) {
      problems.push({ message: `${showName(one)} holds ${one.bound}, expected ${values(bound)}` });
    }
  }
  const standard = own.find((each) => each.bound === 'DEFAULT' && !each.pending);
  if (wanted.default !== undefined && wanted.default !== (standard !== undefined)) {
    problems.push({
      message:
        standard === undefined
          ? `${showName(table)} has no default partition: rows outside all bounds are refused`
          : `${showName(table)} has the default partition ${showName(standard)} and must not`,
    });
  }
  const more = own.filter((each) => !bounds.some(([name]) => find(name, table, [each]) !== undefined));
  if (wanted.exact === true && more.length > 0) {
    problems.push({
      message: `${more.map(showName).join(', ')} ${more.length === 1 ? 'is' : 'are'} attached to ${showName(table)} too`,
    });
  }
  const attached = own.filter((each) => !each.pending).length;
  if (wanted.minimum !== undefined && attached < wanted.minimum) {
    problems.push({
      message: `${showName(table)} has ${attached} partition${attached === 1 ? '' : 's'}, expected at least ${wanted.minimum}`,
    });
  }
  return conclude(
    problems,
    `${showName(table)} is partitioned by ${parent.key}, ${attached} partition${attached === 1 ? '' : 's'} attached`,
  );
}

/** A partition by its name; without a schema first the one beside its table. */
function find(text: string, table: Relation, own: readonly PartitionFacts[]): PartitionFacts | undefined {
  const wanted = parseName(text);
  const named = own.filter(
    (each) => each.name === wanted.name && (wanted.schema === undefined || each.schema === wanted.schema),
  );
  return named.find((each) => each.schema === table.schema) ?? named[0];
}

function quoted({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${identifier(schema)}.${identifier(name)}`;
}

function values(bound: string): string {
  return /^\s*(for values|default)/i.test(bound) ? bound : `FOR VALUES ${bound}`;
}

function plain(bound: string): string {
  return bound
    .replace(/^\s*for values\s*/i, '')
    .replaceAll(/\s+/g, '')
    .replaceAll(/[A-Za-z]+(?=(?:[^']*'[^']*')*[^']*$)/g, (word) => word.toUpperCase());
}
