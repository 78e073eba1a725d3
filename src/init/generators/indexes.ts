/** Checks of indexes that are no keys. */
import { isRecord } from '../../schema-walk.ts';
import { findNamed } from '../live/find.ts';
import type { LiveIndex } from '../live/keys.ts';
import { type Generator, key, located, planName } from '../subject.ts';

export const index: Generator = {
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
          columns: each.keys,
          ...(each.included.length === 0 ? {} : { include: each.included }),
          ...(each.unique ? { unique: true } : {}),
          ...(each.method === 'btree' ? {} : { method: each.method }),
          ...condition(each),
        },
        ...(each.valid
          ? {}
          : { severity: 'warn' as const, note: 'It is invalid. Rebuild it, then make this an error.' }),
      })),
  subjects: (params, schema) => {
    if (!isRecord(params) || typeof params.name !== 'string') return [];
    const table = located(params, schema)?.live;
    const live = findNamed(
      schema.indexes
        .filter((each) => table === undefined || each.table === table)
        .map((each) => ({ schema: each.table.schema, name: each.name })),
      params.name,
    );
    return [{ subject: indexKey(live?.schema ?? '', live?.name ?? params.name), exists: live !== undefined }];
  },
};

/** Lists come back from a dump in another form, though they mean the same: then only that there is a condition. */
function condition({ predicate }: LiveIndex): { where?: string | true } {
  return predicate === null ? {} : { where: predicate.includes('ARRAY[') ? true : predicate };
}

function indexKey(schema: string, name: string): string {
  return key('index', schema, name);
}
