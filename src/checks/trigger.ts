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
import { closest, findTables, isMissing, parseName, showColumns, showName } from './names.ts';

interface TriggerFacts extends Record<string, unknown> {
  table: number;
  name: string;
  /** O fires, D is off, R fires only in replicas, A always. */
  enabled: string;
  function_schema: string;
  function_name: string;
  definition: string;
}

const ENABLED = { always: 'A', origin: 'O', replica: 'R', disabled: 'D' } as const;

/** `trigger: {table: User, name: User_audit}`: the trigger exists and fires. */
export const trigger = defineCatalogCheck({
  kind: 'trigger',
  summary: 'A trigger exists and is enabled.',
  params: {
    type: 'object',
    description: 'A trigger that must exist.',
    required: ['table', 'name'],
    additionalProperties: false,
    properties: {
      table: { ...tableNameSchema, description: 'The table or view.', examples: ['User'] },
      name: {
        type: 'string',
        minLength: 1,
        description: 'The trigger, exactly as written.',
        examples: ['User_audit'],
      },
      enabled: {
        anyOf: [{ type: 'boolean' }, { enum: ['always', 'origin', 'replica', 'disabled'] }],
        description:
          'true: it fires in ordinary sessions. false: it is disabled. Or one state exactly. Default true.',
        examples: [true, 'always'],
      },
      function: { ...tableNameSchema, description: 'The function it calls.', examples: ['audit.log_change'] },
      definition: {
        type: 'string',
        minLength: 1,
        description:
          'Words that must stand in its definition as PostgreSQL writes it, without regard to spaces.',
        examples: ['BEFORE INSERT OR UPDATE'],
      },
      exists: existsSchema,
    },
    examples: [{ table: 'User', name: 'User_audit', function: 'audit.log_change' }],
  },
  title: ({ table, name, exists }) => existenceTitle(`trigger ${name} on ${table}`, exists),
  async runAll(client, all) {
    const tables = await findTables(
      client,
      all.map(({ table }) => table),
    );
    const triggers = await client.query<TriggerFacts>(
      `SELECT t.tgrelid AS table, t.tgname::pg_catalog.text AS name, t.tgenabled AS enabled,
         n.nspname::pg_catalog.text AS function_schema, p.proname::pg_catalog.text AS function_name,
         pg_catalog.pg_get_triggerdef(t.oid) AS definition
       FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
       JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
       WHERE t.tgrelid = ANY ($1::pg_catalog.oid[]) AND NOT t.tgisinternal`,
      [tables.flatMap((table) => (isMissing(table) ? [] : [table.oid]))],
    );
    return all.map((wanted, index): Finding => {
      const table = tables[index] as (typeof tables)[number];
      if (isMissing(table)) return withoutTable(table, wanted.exists);
      const own = triggers.filter((each) => each.table === table.oid);
      const one = own.find(({ name }) => name === wanted.name);
      const label = `trigger ${identifier(wanted.name)} on ${showName(table)}`;
      if (wanted.exists === false) {
        return absence(label, one !== undefined, `DROP TRIGGER ${identifier(wanted.name)} ON ${table.sql};`);
      }
      if (one === undefined) {
        const names = own.map(({ name }) => name);
        const near = closest(wanted.name, names);
        return failed(
          `${label} does not exist`,
          near !== undefined
            ? `${identifier(near)} exists, wanted ${identifier(wanted.name)}.`
            : `${showName(table)} has ${names.length === 0 ? 'no trigger' : showColumns(names)}.`,
        );
      }
      return conclude(
        [...stateProblem(one, table.sql, wanted.enabled ?? true), ...formProblems(one, wanted)],
        `${label}: ${one.definition}`,
        `${label} `,
      );
    });
  },
});

interface Problem {
  readonly message: string;
  readonly hint?: string;
}

function stateProblem(one: TriggerFacts, table: string, enabled: boolean | keyof typeof ENABLED): Problem[] {
  const wanted =
    enabled === true ? (['O', 'A'] as const) : enabled === false ? (['D'] as const) : [ENABLED[enabled]];
  if (wanted.some((state) => state === one.enabled)) return [];
  const is =
    one.enabled === 'D'
      ? 'is disabled'
      : one.enabled === 'R'
        ? 'fires only in replicas'
        : one.enabled === 'A'
          ? 'fires always, in replicas too'
          : 'is enabled';
  const verb = { O: 'ENABLE', A: 'ENABLE ALWAYS', R: 'ENABLE REPLICA', D: 'DISABLE' }[wanted[0]];
  return [{ message: is, hint: `ALTER TABLE ${table} ${verb} TRIGGER ${identifier(one.name)};` }];
}

function formProblems(
  one: TriggerFacts,
  wanted: { readonly function?: string | undefined; readonly definition?: string | undefined },
): Problem[] {
  const problems: Problem[] = [];
  const called = wanted.function === undefined ? undefined : parseName(wanted.function);
  if (
    called !== undefined &&
    (called.name !== one.function_name || (called.schema ?? one.function_schema) !== one.function_schema)
  ) {
    const actual = showName({ schema: one.function_schema, name: one.function_name });
    problems.push({ message: `calls ${actual}, expected ${showName(called)}` });
  }
  const plain = (text: string) => text.replaceAll(/\s+/g, ' ').trim();
  if (wanted.definition !== undefined && !plain(one.definition).includes(plain(wanted.definition))) {
    problems.push({
      message: `is not defined with ${JSON.stringify(wanted.definition)}`,
      hint: `It is: ${one.definition}`,
    });
  }
  return problems;
}
