/** Checks of tables: that they are there, their columns, their rows, how they are partitioned. */
import type { Column } from '../../postgres/columns.ts';
import { isRecord } from '../../schema-walk.ts';
import { columnsKey, type Generator, has, key, located, planName, tableKey, texts } from '../subject.ts';

export const tables: Generator = {
  kind: 'tables',
  heading: 'Every table and view is there. Partitions come and go; their table stands for them.',
  suggest: (schema) =>
    schema.tables.map((table) => ({ subject: tableKey(table), params: [planName(table)] })),
  subjects: (params, schema) =>
    (texts(params) ?? []).map((name, entry) => {
      const live = schema.find(name);
      return { subject: tableKey(live ?? { schema: '', name }), exists: live !== undefined, entry };
    }),
};

/** Not suggested, but a suite that has it needs no `tables` entry. */
export const table: Generator = {
  kind: 'table',
  heading: '',
  suggest: () => [],
  subjects: (params, schema) => {
    const found = located(params, schema);
    return found === undefined ? [] : [{ subject: tableKey(found.name), exists: found.live !== undefined }];
  },
};

export const columns: Generator = {
  kind: 'columns',
  merges: true,
  heading: 'Columns have their types, and NOT NULL where it was.',
  suggest: (schema) =>
    schema.tables
      .filter(({ kind }) => kind === 'r' || kind === 'p')
      .flatMap((table) =>
        [...table.columns.values()].map((column) => ({
          subject: key('column', table.schema, table.name, column.name),
          params: { table: planName(table), columns: { [column.name]: columnSpec(column) } },
        })),
      ),
  subjects: (params, schema) => {
    const found = located(params, schema);
    if (found === undefined || !isRecord(params) || !isRecord(params.columns)) return [];
    return Object.keys(params.columns).map((column) => ({
      subject: key('column', found.name.schema ?? 'public', found.name.name, column),
      exists: has(found.live, [column]),
    }));
  },
};

function columnSpec({ type, notNull, generated }: Column): unknown {
  if (!notNull && generated === '') return type;
  return { type, ...(notNull ? { nullable: false } : {}), ...(generated === '' ? {} : { generated: true }) };
}

export const rowCount: Generator = {
  kind: 'rowCount',
  heading: 'These had rows. An empty table restores without an error, too.',
  suggest: (schema) =>
    schema.tables
      .filter(({ hasRows }) => hasRows === true)
      .map((each) => ({
        subject: columnsKey('rows', each, []),
        params: { table: planName(each), min: 1 },
        // What nothing refers to may well be emptied one day: sessions, queues, logs.
        ...(each.referenced ? {} : { severity: 'warn' as const }),
      })),
  subjects: (params, schema) => {
    const found = located(params, schema);
    return found === undefined
      ? []
      : [{ subject: columnsKey('rows', found.name, []), exists: found.live !== undefined }];
  },
};

/** By its key alone: partitions come and go. */
export const partition: Generator = {
  kind: 'partition',
  heading: 'Partitioned tables: by which key, and whether rows outside all bounds have a place.',
  suggest: (schema) =>
    schema.partitioned.map((each) => ({
      subject: key('partition', each.table.schema, each.table.name),
      params: {
        table: planName(each.table),
        by: each.key,
        ...(each.default ? { default: true } : {}),
        ...(each.partitions > 0 ? { minimum: 1 } : {}),
      },
    })),
  subjects: (params, schema) => {
    const found = located(params, schema);
    return found === undefined
      ? []
      : [
          {
            subject: key('partition', found.name.schema ?? 'public', found.name.name),
            exists: schema.partitioned.some(({ table: live }) => live === found.live),
          },
        ];
  },
};
