/** Checks of what is known by its name alone: constraints, triggers, extensions. */
import { isRecord } from '../schema-walk.ts';
import { type Generator, key, located, planName } from './subject.ts';

export const constraint: Generator = {
  kind: 'constraint',
  heading: 'CHECK and exclusion constraints.',
  suggest: (schema) =>
    schema.constraints.map(({ table, name, validated }) => ({
      subject: key('constraint', table.schema, table.name, name),
      params: { table: planName(table), name, ...(validated ? {} : { validated: false }) },
      ...(validated ? {} : { note: `${JSON.stringify(name)} is NOT VALID: older rows were never checked.` }),
    })),
  subjects: (params, schema) => {
    const found = located(params, schema);
    if (found === undefined || !isRecord(params) || typeof params.name !== 'string') return [];
    const { schema: own = 'public', name } = found.name;
    return [
      {
        subject: key('constraint', own, name, params.name),
        exists: schema.constraints.some((each) => each.table === found.live && each.name === params.name),
      },
    ];
  },
};

export const trigger: Generator = {
  kind: 'trigger',
  heading: 'Triggers fire as they did.',
  suggest: (schema) =>
    schema.triggers.map(({ table, name, enabled }) => ({
      subject: key('trigger', table.schema, table.name, name),
      params: { table: planName(table), name, ...(enabled === 'origin' ? {} : { enabled }) },
    })),
  subjects: (params, schema) => {
    const found = located(params, schema);
    if (found === undefined || !isRecord(params) || typeof params.name !== 'string') return [];
    const { schema: own = 'public', name } = found.name;
    return [
      {
        subject: key('trigger', own, name, params.name),
        exists: schema.triggers.some((each) => each.table === found.live && each.name === params.name),
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
