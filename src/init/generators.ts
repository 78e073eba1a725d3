/**
 * What of a live schema becomes which check. One entry for each sort of thing: it suggests checks for all that the
 * database has, and tells what a check that a suite already has is about, so that both can be compared. To add one,
 * write its entry and list it below.
 */
import { HEALTH_ITEMS } from '../checks/catalog-health-items.ts';
import type { Column } from '../postgres/columns.ts';
import type { ObjectName } from '../postgres/object-name.ts';
import { isRecord } from '../schema-walk.ts';
import type { LiveSchema } from './live-schema.ts';
import { constraint, extension, trigger } from './object-generators.ts';
import {
  columnsKey,
  type Generator,
  has,
  key,
  located,
  planName,
  type Subject,
  type Suggestion,
  tableKey,
  texts,
} from './subject.ts';

const tables: Generator = {
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
const table: Generator = {
  kind: 'table',
  heading: '',
  suggest: () => [],
  subjects: (params, schema) => {
    const found = located(params, schema);
    return found === undefined ? [] : [{ subject: tableKey(found.name), exists: found.live !== undefined }];
  },
};

const columns: Generator = {
  kind: 'columns',
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

const primaryKey: Generator = {
  kind: 'primaryKey',
  heading: 'Primary keys.',
  suggest: (schema) =>
    schema.indexes
      .filter((index) => index.primary)
      .map((index) => ({
        subject: columnsKey('unique', index.table, index.columns),
        params: { table: planName(index.table), columns: index.columns },
      })),
  subjects: (params, schema) => {
    const found = located(params, schema);
    if (found === undefined || !isRecord(params)) return [];
    const live = schema.indexes.find((index) => index.table === found.live && index.primary);
    const own = texts(params.columns) ?? live?.columns ?? [];
    return [{ subject: columnsKey('unique', found.name, own), exists: live !== undefined }];
  },
};

const unique: Generator = {
  kind: 'unique',
  heading: 'Other keys: a valid unique constraint or unique index guards these columns.',
  suggest: (schema) =>
    schema.indexes
      .filter((index) => index.unique && !index.partial && !index.primary)
      .map((index) => ({
        subject: columnsKey('unique', index.table, index.columns),
        params: { table: planName(index.table), columns: index.columns },
        ...(index.valid
          ? {}
          : { severity: 'warn' as const, note: `The index ${JSON.stringify(index.name)} is invalid.` }),
      })),
  subjects: (params, schema) => {
    const found = located(params, schema);
    const columns = isRecord(params) ? texts(params.columns) : undefined;
    if (found === undefined || columns === undefined) return [];
    const exists = schema.indexes.some(
      (index) =>
        index.table === found.live && index.unique && index.columns.every((name) => columns.includes(name)),
    );
    return [{ subject: columnsKey('unique', found.name, columns), exists }];
  },
};

const foreignKey: Generator = {
  kind: 'foreignKey',
  heading: 'References: each exists, is validated and enforced, and no row contradicts it.',
  suggest: (schema) =>
    schema.foreignKeys.map((each) => ({
      subject: referenceKey(each.table, each.columns, each.parent, each.parentColumns),
      params: {
        table: planName(each.table),
        columns: each.columns,
        references: { table: planName(each.parent), columns: each.parentColumns },
      },
      ...(each.trouble === undefined
        ? {}
        : {
            severity: 'warn' as const,
            note: `${JSON.stringify(each.name)} is ${each.trouble}. Mend it, then make this an error.`,
          }),
    })),
  subjects: (params, schema) => {
    const found = located(params, schema);
    if (found === undefined || !isRecord(params) || !isRecord(params.references)) return [];
    const parent = located({ table: params.references.table }, schema);
    const [columns, parentColumns] = [texts(params.columns), texts(params.references.columns)];
    if (parent === undefined || columns === undefined || parentColumns === undefined) return [];
    const subject = referenceKey(found.name, columns, parent.name, parentColumns);
    const exists = schema.foreignKeys.some(
      (each) => referenceKey(each.table, each.columns, each.parent, each.parentColumns) === subject,
    );
    return [{ subject, exists }];
  },
};

function referenceKey(
  child: ObjectName,
  columns: readonly string[],
  parent: ObjectName,
  parentColumns: readonly string[],
): string {
  const pairs = columns.map((column, index) => `${column} → ${parentColumns[index]}`);
  return key(columnsKey('reference', child, pairs), tableKey(parent));
}

const index: Generator = {
  kind: 'index',
  heading: 'The other indexes: without them everything works, but slowly.',
  suggest: (schema) =>
    schema.indexes
      .filter((each) => !each.unique || each.partial)
      .map((each) => ({
        subject: indexKey(each.table.schema, each.name),
        params: {
          name: planName({ name: each.name }),
          table: planName(each.table),
          ...(each.unique ? { unique: true } : {}),
        },
        ...(each.valid
          ? {}
          : { severity: 'warn' as const, note: 'It is invalid. Rebuild it, then make this an error.' }),
      })),
  subjects: (params, schema) => {
    if (!isRecord(params) || typeof params.name !== 'string') return [];
    const table = located(params, schema)?.live;
    const named = schema.indexes.filter(
      (each) =>
        (table === undefined || each.table === table) &&
        [planName({ schema: each.table.schema, name: each.name }), planName({ name: each.name })].includes(
          params.name as string,
        ),
    );
    const live = named.find((each) => each.table.schema === 'public') ?? named[0];
    return [
      { subject: indexKey(live?.table.schema ?? '', live?.name ?? params.name), exists: live !== undefined },
    ];
  },
};

function indexKey(schema: string, name: string): string {
  return key('index', schema, name);
}

const enumType: Generator = {
  kind: 'enumType',
  heading: 'Enum types have these labels and no others.',
  suggest: (schema) =>
    schema.enums.map((type) => ({
      subject: key('enum', type.schema, type.name),
      params: { name: planName(type), labels: type.labels },
    })),
  subjects: (params, schema) => {
    if (!isRecord(params) || typeof params.name !== 'string') return [];
    const named = schema.enums.filter((type) =>
      [planName(type), planName({ name: type.name })].includes(params.name as string),
    );
    const live = named.find(({ schema: own }) => own === 'public') ?? named[0];
    return [
      {
        subject: key('enum', live?.schema ?? '', live?.name ?? params.name),
        exists: live !== undefined,
        ...(live === undefined || params.exact === false ? {} : listOf('labels', params.labels, live.labels)),
      },
    ];
  },
};

const sequence: Generator = {
  kind: 'sequence',
  heading: 'Sequences are ahead of the columns that draw from them.',
  suggest: (schema) =>
    schema.sequences.map(({ owner, trouble, ...name }) => ({
      subject: key('sequence', name.schema, name.name),
      params: {
        name: planName(name),
        ...(owner === undefined ? {} : { table: planName(owner.table), column: owner.column }),
      },
      ...(trouble === undefined
        ? {}
        : { severity: 'warn' as const, note: `Now: ${trouble}. Mend it, then make this an error.` }),
    })),
  subjects: (params, schema) => {
    if (!isRecord(params) || typeof params.name !== 'string') return [];
    const named = schema.sequences.filter((each) =>
      [planName(each), planName({ name: each.name })].includes(params.name as string),
    );
    const live = named.find(({ schema: own }) => own === 'public') ?? named[0];
    return [
      {
        subject: key('sequence', live?.schema ?? '', live?.name ?? params.name),
        exists: live !== undefined,
      },
    ];
  },
};

const HEALTH = key('catalogHealth');
const ONLY_WARNED = HEALTH_ITEMS.filter(({ severity }) => severity === 'warn').map(({ item }) => item);

const catalogHealth: Generator = {
  kind: 'catalogHealth',
  heading: 'Nothing anywhere is invalid, disabled, unfilled, behind or half done.',
  suggest: ({ ailing, unseen }) => {
    const notes = [
      ...(ailing.length === 0
        ? []
        : [`There is some of this now: ${ailing.join(', ')}. Mend it, then take it out of warn.`]),
      ...(unseen.length === 0 ? [] : [`The role that looked may not see: ${unseen.join(', ')}.`]),
    ];
    const params = {
      ...(unseen.length === 0 ? {} : { skip: unseen }),
      ...(ailing.length === 0 ? {} : { warn: [...ailing, ...ONLY_WARNED] }),
    };
    return [{ subject: HEALTH, params, ...(notes.length === 0 ? {} : { note: notes.join('\n') }) }];
  },
  subjects: () => [{ subject: HEALTH, exists: true }],
};

const acceptedValues: Generator = {
  kind: 'acceptedValues',
  heading: 'Values of columns whose CHECK constraint lists them.',
  suggest: (schema) =>
    schema.values
      // An empty table shows nothing.
      .filter(({ table: { hasRows } }) => hasRows === true)
      .map(({ table, column, values, notNull }) => ({
        subject: columnsKey('values', table, [column]),
        params: { table: planName(table), column, values, ...(notNull ? { nullable: false } : {}) },
      })),
  subjects: (params, schema) => {
    const found = located(params, schema);
    if (found === undefined || !isRecord(params) || typeof params.column !== 'string') return [];
    const type = found.live?.columns.get(params.column)?.base;
    const live =
      schema.values.find((each) => each.table === found.live && each.column === params.column)?.values ??
      schema.enums.find(({ oid }) => oid === type?.oid)?.labels;
    return [
      {
        subject: columnsKey('values', found.name, [params.column]),
        exists: has(found.live, [params.column]),
        ...(live === undefined ? {} : listOf('values', params.values, live)),
      },
    ];
  },
};

function listOf(name: string, from: unknown, to: readonly unknown[]): Pick<Subject, 'list'> {
  return Array.isArray(from) ? { list: { key: name, from, to } } : {};
}

const rowCount: Generator = {
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

/** In the order in which a new suite has them. */
export const generators: readonly Generator[] = [
  tables,
  table,
  columns,
  primaryKey,
  unique,
  foreignKey,
  index,
  constraint,
  trigger,
  enumType,
  acceptedValues,
  sequence,
  extension,
  catalogHealth,
  rowCount,
];

/**
 * One check instead of several that only differ in what they list: the columns of a table. Done last, when it is
 * known which of them are wanted.
 */
export function mergeSuggestions(suggestions: readonly Suggestion[]): Suggestion[] {
  const merged = new Map<string, Suggestion>();
  for (const suggestion of suggestions) {
    const { kind, subject, params } = suggestion;
    const group =
      isRecord(params) && isRecord(params.columns) ? key(kind, String(params.table)) : key(kind, subject);
    const before = merged.get(group)?.params;
    merged.set(
      group,
      isRecord(before) && isRecord(params) && isRecord(before.columns) && isRecord(params.columns)
        ? { ...suggestion, params: { ...params, columns: { ...before.columns, ...params.columns } } }
        : suggestion,
    );
  }
  return [...merged.values()];
}

/** Checks for everything that the database has, one for each subject; columns are still one by one. */
export function suggestChecks(schema: LiveSchema): Suggestion[] {
  const seen = new Set<string>();
  return generators.flatMap(({ kind, suggest }) =>
    suggest(schema).flatMap((suggestion) => {
      if (seen.has(suggestion.subject)) return [];
      seen.add(suggestion.subject);
      return [{ kind, ...suggestion }];
    }),
  );
}
