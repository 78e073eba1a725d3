import { identifier } from '../postgres/client.ts';
import { USER_SCHEMA } from '../postgres/user-objects.ts';
import { tableNameSchema } from '../schema.ts';
import {
  absence,
  type CatalogObject,
  conclude,
  defineCatalogCheck,
  existenceTitle,
  existsSchema,
  failed,
  findObjects,
  isMissingObject,
  missing,
} from './catalog-check.ts';
import type { Finding } from './check-kind.ts';
import { showName } from './names.ts';
import { sameType } from './type-names.ts';

interface FunctionFacts extends CatalogObject {
  /** Of the arguments that a call gives. */
  readonly arguments: readonly string[];
  readonly kind: string;
  readonly returns: string | null;
  readonly language: string;
  readonly volatility: string;
  readonly definer: boolean;
  readonly strict: boolean;
}

/** `function: {name: total, arguments: [int]}`: a function or procedure of that name and these arguments exists. */
export const functionExists = defineCatalogCheck({
  kind: 'function',
  summary: 'A function, procedure or aggregate exists with these arguments and properties.',
  params: {
    type: 'object',
    description: 'A function, procedure or aggregate that must exist.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: {
        ...tableNameSchema,
        description: 'The function, exactly as written.',
        examples: ['setUpdatedAt'],
      },
      arguments: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        description: 'Types of its arguments in order; [] for none. Default: any.',
        examples: [['int', 'text[]']],
      },
      returns: { type: 'string', minLength: 1, description: 'The type it returns.', examples: ['trigger'] },
      language: {
        type: 'string',
        minLength: 1,
        description: 'What it is written in.',
        examples: ['plpgsql'],
      },
      volatility: {
        enum: ['immutable', 'stable', 'volatile'],
        description: 'What the planner may assume of it.',
      },
      securityDefiner: { type: 'boolean', description: 'Whether it runs with the rights of its owner.' },
      exists: existsSchema,
    },
    examples: [{ name: 'setUpdatedAt', arguments: [], returns: 'trigger' }],
  },
  title: ({ name, arguments: types, exists }) =>
    existenceTitle(`function ${name}${types === undefined ? '' : `(${types.join(', ')})`}`, exists),
  async runAll(client, all) {
    const found = await findObjects<FunctionFacts>(
      client,
      SOURCE,
      all.map(({ name }) => name),
    );
    return all.map((wanted, index): Finding => {
      const rows = found[index] as (typeof found)[number];
      if (isMissingObject(rows)) return missing(rows, wanted.exists, `function ${wanted.name}`);
      const types = wanted.arguments;
      const fitting = rows.filter(
        ({ arguments: actual }) =>
          types === undefined ||
          (actual.length === types.length &&
            types.every((type, position) => sameType(type, actual[position] ?? ''))),
      );
      const [first] = fitting;
      if (first === undefined) {
        const message = `${showName(rows[0] as FunctionFacts)} has no form with the arguments (${(types ?? []).join(', ')})`;
        return wanted.exists === false
          ? { outcome: 'passed', message }
          : failed(message, `There is ${rows.map(signature).join(', ')}.`);
      }
      if (wanted.exists === false) {
        return absence(signature(first), true, `DROP ROUTINE ${fitting.map(signatureSql).join(', ')};`);
      }
      // Of several forms the one that fits best speaks.
      const judged = fitting
        .map((one) => ({ one, problems: compare(one, wanted) }))
        .sort((a, b) => a.problems.length - b.problems.length);
      const { one, problems } = judged[0] as (typeof judged)[number];
      return conclude(problems, `${kindOf(one)} ${signature(one)}`, `${kindOf(one)} ${signature(one)} `);
    });
  },
});

const SOURCE = {
  what: 'function',
  sql: `SELECT n.nspname::pg_catalog.text AS schema, p.proname::pg_catalog.text AS name,
    ARRAY(SELECT pg_catalog.format_type(a.type, NULL)
      FROM pg_catalog.unnest(p.proargtypes::pg_catalog.oid[]) WITH ORDINALITY AS a(type, position) ORDER BY a.position) AS arguments,
    p.prokind AS kind, pg_catalog.pg_get_function_result(p.oid) AS returns, l.lanname::pg_catalog.text AS language,
    p.provolatile AS volatility, p.prosecdef AS definer, p.proisstrict AS strict
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE ${USER_SCHEMA}`,
};

const VOLATILITY: Readonly<Record<string, string>> = { i: 'immutable', s: 'stable', v: 'volatile' };

function compare(
  one: FunctionFacts,
  wanted: {
    readonly returns?: string | undefined;
    readonly language?: string | undefined;
    readonly volatility?: string | undefined;
    readonly securityDefiner?: boolean | undefined;
  },
): { message: string; hint?: string }[] {
  const problems: { message: string; hint?: string }[] = [];
  const returns = (one.returns ?? 'void').replace(/^SETOF /, '');
  if (
    wanted.returns !== undefined &&
    wanted.returns !== one.returns &&
    (wanted.returns.toUpperCase().startsWith('TABLE') ||
      !sameType(wanted.returns.replace(/^setof /i, ''), returns))
  ) {
    problems.push({ message: `returns ${one.returns ?? 'nothing'}, expected ${wanted.returns}` });
  }
  if (wanted.language !== undefined && wanted.language !== one.language) {
    problems.push({ message: `is written in ${one.language}, expected ${wanted.language}` });
  }
  const volatility = VOLATILITY[one.volatility] ?? one.volatility;
  if (wanted.volatility !== undefined && wanted.volatility !== volatility) {
    problems.push({
      message: `is ${volatility}, expected ${wanted.volatility}`,
      hint: `ALTER FUNCTION ${signatureSql(one)} ${wanted.volatility.toUpperCase()};`,
    });
  }
  if (wanted.securityDefiner !== undefined && wanted.securityDefiner !== one.definer) {
    problems.push({
      message: `runs with the rights of ${one.definer ? 'its owner' : 'who calls it'}`,
      hint: `ALTER ROUTINE ${signatureSql(one)} SECURITY ${wanted.securityDefiner ? 'DEFINER' : 'INVOKER'};`,
    });
  }
  return problems;
}

function kindOf({ kind }: FunctionFacts): string {
  return kind === 'p' ? 'procedure' : kind === 'a' ? 'aggregate' : 'function';
}

function signature(one: FunctionFacts): string {
  return `${showName(one)}(${one.arguments.join(', ')})`;
}

function signatureSql(one: FunctionFacts): string {
  return `${identifier(one.schema)}.${identifier(one.name)}(${one.arguments.join(', ')})`;
}
