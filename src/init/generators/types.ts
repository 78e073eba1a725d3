/** Checks of enum types and of columns that hold few values, and of extensions. */
import { isRecord } from '../../schema-walk.ts';
import { findNamed } from '../live/find.ts';
import { columnsKey, type Generator, has, key, listOf, located, planName } from '../subject.ts';

export const enumType: Generator = {
  kind: 'enumType',
  heading: 'Enum types have these labels, in this order, and no others.',
  suggest: (schema) =>
    schema.enums.map((type) => ({
      subject: key('enum', type.schema, type.name),
      params: { name: planName(type), labels: type.labels, ordered: true },
    })),
  subjects: (params, schema) => {
    if (!isRecord(params) || typeof params.name !== 'string') return [];
    const live = findNamed(schema.enums, params.name);
    return [
      {
        subject: key('enum', live?.schema ?? '', live?.name ?? params.name),
        exists: live !== undefined,
        ...(live === undefined || params.exact === false ? {} : listOf('labels', params.labels, live.labels)),
      },
    ];
  },
};

export const acceptedValues: Generator = {
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

export const extension: Generator = {
  kind: 'extension',
  heading: 'Extensions.',
  suggest: (schema) =>
    schema.extensions.map((name) => ({ subject: key('extension', name), params: { name } })),
  subjects: (params, schema) =>
    isRecord(params) && typeof params.name === 'string'
      ? [{ subject: key('extension', params.name), exists: schema.extensions.includes(params.name) }]
      : [],
};
