/** Checks of views and materialized views. */
import { isRecord } from '../../schema-walk.ts';
import { findNamed } from '../live/find.ts';
import type { LiveTable } from '../live/table.ts';
import type { LiveSchema } from '../live-schema.ts';
import { type Generator, key, planName, type Subject } from '../subject.ts';

export const view: Generator = {
  kind: 'view',
  heading: 'Views have these columns.',
  suggest: (schema) =>
    ofKind(schema, 'v').map((each) => ({
      subject: viewKey(each),
      params: {
        name: planName(each),
        columns: [...each.columns.keys()],
        ...(each.securityInvoker ? { securityInvoker: true } : {}),
      },
    })),
  subjects: (params, schema) => subjects(params, ofKind(schema, 'v')),
};

export const materializedView: Generator = {
  kind: 'materializedView',
  heading: 'Materialized views have these columns, and were filled.',
  suggest: (schema) =>
    ofKind(schema, 'm').map((each) => ({
      subject: viewKey(each),
      params: {
        name: planName(each),
        columns: [...each.columns.keys()],
        ...(each.populated ? {} : { populated: false }),
      },
      ...(each.populated ? {} : { note: 'It was never filled.' }),
    })),
  subjects: (params, schema) => subjects(params, ofKind(schema, 'm')),
};

function ofKind(schema: LiveSchema, kind: 'v' | 'm'): LiveTable[] {
  // A view without columns is one, too; it has none to list.
  return schema.tables.filter((each) => each.kind === kind && each.columns.size > 0);
}

function subjects(params: unknown, views: readonly LiveTable[]): Subject[] {
  if (!isRecord(params) || typeof params.name !== 'string') return [];
  const live = findNamed(views, params.name);
  return [{ subject: viewKey(live ?? { schema: '', name: params.name }), exists: live !== undefined }];
}

function viewKey({ schema, name }: Pick<LiveTable, 'schema' | 'name'>): string {
  return key('view', schema, name);
}
