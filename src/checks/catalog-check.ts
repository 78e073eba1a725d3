/**
 * What check kinds have in common that only read the catalog: many of one kind are looked up together, a thing may be
 * wanted absent, and a miss says what comes close.
 */
import { BackplanError } from '../errors.ts';
import { identifier } from '../postgres/client.ts';
import type { Queryable } from '../postgres/columns.ts';
import type { Infer, JsonSchema } from '../schema.ts';
import type { CheckClient, CheckKind, CheckOptions, Finding } from './check-kind.ts';
import { closest, type Missing, parseName, showName } from './names.ts';

/** Typed definition → CheckKind; `run` is `runAll` of one. */
export function defineCatalogCheck<const S extends JsonSchema>(definition: {
  readonly kind: string;
  readonly summary: string;
  readonly params: S;
  title(params: Infer<S>): string;
  expand?(params: Infer<S>): readonly Infer<S>[];
  /** One finding for each of `all`, in its order. */
  runAll(
    client: CheckClient,
    all: readonly Infer<S>[],
    options: readonly CheckOptions[],
  ): Promise<readonly Finding[]>;
}): CheckKind {
  return {
    ...(definition as unknown as CheckKind),
    async run(client, params, options) {
      const [finding] = await definition.runAll(client, [params as Infer<S>], [options]);
      if (finding === undefined) throw new Error(`${definition.kind} found nothing to say`);
      return finding;
    },
  };
}

export const existsSchema = {
  type: 'boolean',
  description: 'false: it must not exist. Default true.',
} as const satisfies JsonSchema;

/** `index X`, or `no index X` where it must not exist. */
export function existenceTitle(what: string, exists: boolean | undefined): string {
  return exists === false ? `no ${what}` : what;
}

export function failed(message: string, hint?: string, count = 1): Finding {
  return { outcome: 'failed', message, ...(hint === undefined ? {} : { hint }), count };
}

/** For a thing that must not exist: `drop` is the statement that would remove it where it does. */
export function absence(label: string, found: boolean, drop?: string): Finding {
  return found
    ? failed(`${label} exists and must not`, drop)
    : { outcome: 'passed', message: `${label} does not exist` };
}

/** A thing that was not found: a failure with what comes close, unless it must not exist. */
export function missing(found: Missing, exists: boolean | undefined, label: string): Finding {
  return exists === false ? absence(label, false) : { outcome: 'failed', ...found, count: 1 };
}

/** The table on which something was looked for is missing: a failure, and for an absence no evidence. */
export function withoutTable(missing: Missing, exists: boolean | undefined): Finding {
  return exists === false
    ? { outcome: 'vacuous', ...missing, message: `${missing.message}, so there was nothing to look at` }
    : { outcome: 'failed', ...missing, count: 1 };
}

/** All problems of one object in one finding. */
export function conclude(
  problems: readonly { readonly message: string; readonly hint?: string }[],
  passed: string,
  subject = '',
): Finding {
  if (problems.length === 0) return { outcome: 'passed', message: passed };
  const hints = problems.map((problem) => problem.hint).filter((hint) => hint !== undefined);
  return {
    outcome: 'failed',
    message: `${subject}${problems.map((problem) => problem.message).join('; ')}`,
    ...(hints.length === 0 ? {} : { hint: [...new Set(hints)].join(' ') }),
    count: problems.length,
  };
}

/** An object of the catalog with a schema and a name. */
export interface CatalogObject extends Record<string, unknown> {
  readonly schema: string;
  readonly name: string;
}

export interface CatalogSource {
  /** How one is called in messages: `enum type`. */
  readonly what: string;
  /** SELECT that yields all of them with `schema` and `name`. */
  readonly sql: string;
}

/**
 * Finds objects by name with one query, each exactly as written: in the schema given, else in `public`, else the only
 * ones of that name. Several rows for one name (overloaded functions) are returned together.
 * @throws INPUT_INVALID when a name is malformed or fits several schemas
 */
export async function findObjects<Row extends CatalogObject>(
  client: Queryable,
  source: CatalogSource,
  texts: readonly string[],
): Promise<readonly (readonly Row[] | Missing)[]> {
  const wanted = texts.map(parseName);
  const rows = await client.query<Row>(
    `SELECT * FROM (${source.sql}) AS found WHERE found.name = ANY ($1::pg_catalog.text[]) ORDER BY schema, name`,
    [[...new Set(wanted.map(({ name }) => name))]],
  );
  let all: Promise<CatalogObject[]> | undefined;
  const results: (readonly Row[] | Missing)[] = [];
  for (const name of wanted) {
    const fitting = rows.filter(
      (row) => row.name === name.name && (name.schema === undefined || row.schema === name.schema),
    );
    const schemas = [...new Set(fitting.map((row) => row.schema))];
    const schema = schemas.includes('public') ? 'public' : schemas[0];
    if (schema === undefined) {
      all ??= client.query<CatalogObject>(
        `SELECT schema, name FROM (${source.sql}) AS found ORDER BY schema <> 'public', schema, name LIMIT 5000`,
      );
      results.push(nearMiss(source.what, name, await all));
      continue;
    }
    if (schema !== 'public' && schemas.length > 1) {
      throw new BackplanError(
        'INPUT_INVALID',
        `${source.what} ${identifier(name.name)} is ambiguous: ${schemas.map((each) => `${identifier(each)}.${identifier(name.name)}`).join(', ')}`,
        { hint: `Write the schema too, for example ${schema}.${name.name}.` },
      );
    }
    results.push(fitting.filter((row) => row.schema === schema));
  }
  return results;
}

export function isMissingObject(found: readonly CatalogObject[] | Missing): found is Missing {
  return 'message' in found;
}

function nearMiss(
  what: string,
  wanted: { readonly schema?: string; readonly name: string },
  all: readonly CatalogObject[],
): Missing {
  const message = `${what} ${showName(wanted)} does not exist`;
  const own = all.filter((each) => each.schema === (wanted.schema ?? 'public'));
  const close =
    all.find((each) => each.name === wanted.name) ??
    [own, all]
      .map((some) => {
        const name = closest(
          wanted.name,
          some.map((each) => each.name),
        );
        return some.find((each) => each.name === name);
      })
      .find((each) => each !== undefined);
  if (close !== undefined) return { message, hint: `${showName(close)} exists, wanted ${showName(wanted)}.` };
  return all.length === 0 ? { message, hint: `The database has no ${what} at all.` } : { message };
}
