/** Checks of keys and of the references between tables. */
import type { ObjectName } from '../../postgres/object-name.ts';
import { isRecord } from '../../schema-walk.ts';
import { columnsKey, type Generator, key, located, planName, tableKey, texts } from '../subject.ts';

export const primaryKey: Generator = {
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

export const unique: Generator = {
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

export const foreignKey: Generator = {
  kind: 'foreignKey',
  heading: 'References: each exists, is validated and enforced, and no row contradicts it.',
  suggest: (schema) =>
    schema.foreignKeys.map((each) => ({
      subject: referenceKey(each.table, each.columns, each.parent, each.parentColumns),
      params: {
        table: planName(each.table),
        columns: each.columns,
        references: { table: planName(each.parent), columns: each.parentColumns },
        ...(each.readable ? {} : { data: false }),
      },
      ...(each.trouble !== undefined
        ? {
            severity: 'warn' as const,
            note: `${JSON.stringify(each.name)} is ${each.trouble}. Mend it, then make this an error.`,
          }
        : each.readable
          ? {}
          : { note: 'The role that looked may not read all rows of both tables: they are not looked at.' }),
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
