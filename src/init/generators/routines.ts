/** Checks of functions and of the triggers that call them. */
import { isRecord } from '../../schema-walk.ts';
import { allNamed } from '../live/find.ts';
import type { LiveFunction } from '../live/objects.ts';
import { type Generator, key, located, planName, texts } from '../subject.ts';

export const trigger: Generator = {
  kind: 'trigger',
  heading: 'Triggers fire as they did.',
  suggest: (schema) =>
    schema.triggers.map(({ table, name, enabled, function: called, timing }) => ({
      subject: key('trigger', table.schema, table.name, name),
      params: {
        table: planName(table),
        name,
        ...(enabled === 'origin' ? {} : { enabled }),
        function: planName(called),
        definition: timing,
      },
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

/** What it is called with and gives back; its body is for the fingerprint. */
export const routine: Generator = {
  kind: 'function',
  heading: 'Functions and procedures, with whose rights they run.',
  suggest: (schema) =>
    schema.functions.map((each) => ({
      subject: routineKey(each),
      params: {
        name: planName(each),
        arguments: each.arguments,
        ...(each.returns === null ? {} : { returns: each.returns }),
        language: each.language,
        volatility: each.volatility,
        securityDefiner: each.definer,
      },
    })),
  subjects: (params, schema) => {
    if (!isRecord(params) || typeof params.name !== 'string') return [];
    const named = allNamed(schema.functions, params.name);
    const first = named.find(({ schema: own }) => own === 'public') ?? named[0];
    const types = texts(params.arguments);
    const forms = named.filter(
      (each) =>
        each.schema === first?.schema &&
        (types === undefined || JSON.stringify(types) === JSON.stringify(each.arguments)),
    );
    // Types may be written in other words than PostgreSQL's; where there is one form only, it is the one.
    const own = forms.length === 0 && named.length === 1 ? named : forms;
    return own.length === 0
      ? [{ subject: key('function', '', params.name, types ?? []), exists: false }]
      : own.map((each) => ({ subject: routineKey(each), exists: true }));
  },
};

function routineKey({ schema, name, arguments: types }: LiveFunction): string {
  return key('function', schema, name, types);
}
