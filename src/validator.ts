/**
 * Validation by JSON Schema 2020-12 in words for people. The only door to ajv, which is imported when first needed.
 *
 * ajv decides; what it says is retold here, because "must match exactly one schema in oneOf" helps nobody: a union
 * is explained by the one branch that the value was meant for, an unknown key by the known one it resembles.
 */
import type { Ajv2020, ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import type { JsonSchema } from './schema.ts';
import {
  acceptedTypes,
  accepts,
  describeValue,
  expectation,
  fillDefaults,
  isRecord,
  typeOf,
} from './schema-walk.ts';
import { didYouMean, listNames, suggest } from './suggest.ts';

export interface Problem {
  /** From the top of the value; for an unknown key the path ends with that key. */
  readonly path: readonly (string | number)[];
  /** JSON Schema's keyword, or `unknownKey`. For programs; never shown. */
  readonly keyword: string;
  readonly message: string;
  readonly hint?: string;
  /** Whether the key or the value at `path` is to blame. */
  readonly at: 'key' | 'value';
  /** Set when text was expected and YAML made something else of it; says what was expected. */
  readonly wantsText?: { readonly expected: string; readonly pattern?: string };
}

export interface ValidatorOptions {
  /** Values that are settled later (expressions, environment) and so may break rules about types and forms now. */
  readonly exempt?: (value: unknown, schema: JsonSchema) => boolean;
}

/** Fills defaults into the value (in place) and returns everything that is wrong with it. */
export type Validator = (value: unknown) => Problem[];

const compiled = new WeakMap<JsonSchema, Promise<ValidateFunction>>();

/** Compiles a schema once; later calls with the same schema object are free. */
export async function compileSchema(schema: JsonSchema, options: ValidatorOptions = {}): Promise<Validator> {
  let ready = compiled.get(schema);
  if (ready === undefined) {
    ready = compileWithAjv(schema);
    compiled.set(schema, ready);
  }
  const validate = await ready;
  const { exempt = () => false } = options;
  return (value) => {
    fillDefaults(schema, value);
    if (validate(value)) return [];
    return dropEchoes(explain([...(validate.errors ?? [])], { root: value, exempt }));
  };
}

let instance: Promise<Ajv2020> | undefined;

async function makeAjv(): Promise<Ajv2020> {
  const { Ajv2020: Ajv } = await import('ajv/dist/2020.js');
  return new Ajv({
    allErrors: true,
    verbose: true,
    messages: false,
    // Our own `x-` keywords are read elsewhere; schemas are checked strictly by a test, not at every start.
    strict: false,
    validateSchema: false,
    meta: false,
    validateFormats: false,
    ownProperties: true,
    addUsedSchema: false,
    logger: false,
    // Each function runs a few times: making it fast would take longer than running it.
    code: { optimize: false },
  });
}

async function compileWithAjv(schema: JsonSchema): Promise<ValidateFunction> {
  instance ??= makeAjv();
  // `$schema` names a meta schema that was not loaded.
  const { $schema: _ignored, ...rest } = schema as JsonSchema & { $schema?: string };
  return (await instance).compile(rest);
}

interface Context {
  readonly root: unknown;
  readonly exempt: (value: unknown, schema: JsonSchema) => boolean;
}

interface Explained extends Problem {
  readonly missing?: string;
  readonly meant?: string;
}

/** A misspelt key is one mistake: that its right spelling is missing needs no second message. */
function dropEchoes(problems: readonly Explained[]): Problem[] {
  const meant = new Set(
    problems.flatMap((each) =>
      each.meant === undefined ? [] : [JSON.stringify([...each.path.slice(0, -1), each.meant])],
    ),
  );
  const seen = new Set<string>();
  return problems
    .filter((each) => {
      if (each.missing !== undefined && meant.has(JSON.stringify([...each.path, each.missing]))) return false;
      const key = JSON.stringify([each.path, each.message]);
      return seen.has(key) ? false : seen.add(key);
    })
    .map(({ missing: _missing, meant: _meant, ...problem }) => problem);
}

const isUnion = (error: ErrorObject) => error.keyword === 'oneOf' || error.keyword === 'anyOf';

const isInside = (error: ErrorObject, union: ErrorObject) =>
  error !== union &&
  error.schemaPath.startsWith(`${union.schemaPath}/`) &&
  (error.instancePath === union.instancePath || error.instancePath.startsWith(`${union.instancePath}/`));

function explain(errors: readonly ErrorObject[], context: Context): Explained[] {
  const unions = errors.filter(isUnion);
  const outer = unions.filter((union) => !unions.some((other) => isInside(union, other)));
  const problems: Explained[] = [];
  for (const error of errors) {
    if (outer.includes(error)) {
      problems.push(
        ...explainUnion(
          error,
          errors.filter((other) => isInside(other, error)),
          context,
        ),
      );
    } else if (!outer.some((union) => isInside(error, union))) {
      const problem = explainOne(error, context);
      if (problem !== undefined) problems.push(problem);
    }
  }
  return problems;
}

/** Wrong at the first look: the value does not even have the kind of this branch. */
const SHAPE = new Set(['type', 'const', 'enum']);

function explainUnion(union: ErrorObject, inner: readonly ErrorObject[], context: Context): Explained[] {
  if (context.exempt(union.data, union.parentSchema as JsonSchema)) return [];
  const path = pathOf(union.instancePath, context.root);
  const branches = union.schema as readonly JsonSchema[];
  if (branches.every((branch) => branch.required !== undefined && branch.properties === undefined)) {
    const names = listNames(new Set(branches.flatMap((branch) => branch.required ?? [])), 'or');
    const passing = (union.params as { passingSchemas?: unknown }).passingSchemas;
    const message = passing ? `give only one of ${names}` : `one of ${names} is missing`;
    return [{ path, keyword: union.keyword, message, at: 'key' }];
  }
  // Several branches fit: whoever wrote the schema did not mean to forbid that.
  if ((union.params as { passingSchemas?: unknown }).passingSchemas) return [];

  const tries = branches.map((schema, index) => {
    const errors = inner.filter((error) => error.schemaPath.startsWith(`${union.schemaPath}/${index}/`));
    const shaped = !errors.some(
      (error) => error.instancePath === union.instancePath && SHAPE.has(error.keyword),
    );
    return { schema, shaped, problems: explain(errors, context) };
  });
  if (tries.some((each) => each.problems.length === 0)) return [];
  const shaped = tries.filter((each) => each.shaped);
  if (shaped.length === 0) return [mismatch(union, union.parentSchema as JsonSchema, path)];
  if (shaped.length > 1 && isRecord(union.data)) {
    const keys = Object.keys(union.data);
    const known = new Set(shaped.flatMap((each) => Object.keys(each.schema.properties ?? {})));
    const unknown = shaped.every((each) => each.schema.additionalProperties === false)
      ? keys.filter((key) => !known.has(key))
      : [];
    if (unknown.length > 0) return unknown.map((key) => unknownKey(path, key, known));
    const overlap = (schema: JsonSchema) =>
      keys.filter((key) => Object.hasOwn(schema.properties ?? {}, key)).length;
    shaped.sort((a, b) => overlap(b.schema) - overlap(a.schema) || a.problems.length - b.problems.length);
  }
  return shaped[0]?.problems ?? [];
}

function explainOne(error: ErrorObject, context: Context): Explained | undefined {
  const path = pathOf(error.instancePath, context.root);
  const schema = (error.parentSchema ?? {}) as JsonSchema;
  const parameters = error.params as Record<string, unknown>;
  const problem = (message: string, at: 'key' | 'value' = 'value', where = path): Explained => ({
    path: where,
    keyword: error.keyword,
    message,
    at,
  });
  if (error.propertyName !== undefined && error.keyword !== 'propertyNames') {
    const wanted = expectation(schema);
    return problem(
      wanted === 'text' || wanted === 'another value'
        ? 'is not a possible name'
        : `is not a possible name: expected ${wanted}`,
      'key',
      [...path, error.propertyName],
    );
  }
  switch (error.keyword) {
    // Summaries of other errors that are told by themselves.
    case 'if':
    case 'propertyNames':
      return undefined;
    case 'type':
    case 'const':
    case 'enum':
    case 'pattern':
    case 'format':
      return context.exempt(error.data, schema) ? undefined : mismatch(error, schema, path);
    case 'additionalProperties':
    case 'unevaluatedProperties': {
      const key = String(parameters.additionalProperty ?? parameters.unevaluatedProperty);
      return unknownKey(path, key, Object.keys(schema.properties ?? {}));
    }
    case 'required': {
      const missing = String(parameters.missingProperty);
      return { ...problem(`"${missing}" is missing`, 'key'), missing };
    }
    case 'dependentRequired':
      return problem(`"${parameters.property}" needs "${parameters.missingProperty}" beside it`, 'key');
    case 'not': {
      const together = (error.schema as JsonSchema | undefined)?.required;
      return problem(
        together === undefined
          ? `this is not possible here${schema['x-expected'] === undefined ? '' : `: expected ${schema['x-expected']}`}`
          : `${listNames(together)} cannot be given together`,
        'key',
      );
    }
    case 'uniqueItems':
      return problem(`is the same as entry ${Number(parameters.j) + 1}`, 'value', [
        ...path,
        Number(parameters.i),
      ]);
    default:
      return context.exempt(error.data, schema) ? undefined : problem(bound(error, schema));
  }
}

/** Rules about amounts. */
function bound(error: ErrorObject, schema: JsonSchema): string {
  const limit = Number((error.params as { limit?: unknown }).limit);
  const count = (noun: string, plural: string) => `${limit} ${limit === 1 ? noun : plural}`;
  const found = describeValue(error.data);
  switch (error.keyword) {
    case 'minimum':
      return `must be at least ${limit}, found ${found}`;
    case 'exclusiveMinimum':
      return `must be more than ${limit}, found ${found}`;
    case 'maximum':
      return `must be at most ${limit}, found ${found}`;
    case 'exclusiveMaximum':
      return `must be less than ${limit}, found ${found}`;
    case 'multipleOf':
      return `must divide by ${(error.params as { multipleOf?: number }).multipleOf}, found ${found}`;
    case 'minLength':
      return limit === 1 ? 'is empty' : `must have at least ${limit} characters, found ${found}`;
    case 'maxLength':
      return `must have at most ${limit} characters, found ${found}`;
    case 'minItems':
      return limit === 1 ? 'the list is empty' : `needs at least ${count('entry', 'entries')}`;
    case 'maxItems':
      return `can have at most ${count('entry', 'entries')}`;
    case 'minProperties':
      return limit === 1 ? 'is empty' : `needs at least ${count('key', 'keys')}`;
    case 'maxProperties':
      return `can have at most ${count('key', 'keys')}`;
    default:
      return `expected ${expectation(schema)}, found ${found}`;
  }
}

function unknownKey(path: readonly (string | number)[], key: string, known: Iterable<string>): Explained {
  const names = [...known];
  const meant = suggest(key, names);
  return {
    path: [...path, key],
    keyword: 'unknownKey',
    message: `unknown key${didYouMean(key, names)}`,
    at: 'key',
    ...(meant === undefined ? {} : { meant }),
    ...(meant !== undefined || names.length === 0 ? {} : { hint: `Known here: ${listNames(names)}.` }),
  };
}

/** The value is not what the schema wants. */
function mismatch(error: ErrorObject, schema: JsonSchema, path: readonly (string | number)[]): Explained {
  const value: unknown = error.data;
  const wanted = expectation(schema);
  const types = acceptedTypes(schema);
  const options = typeof value === 'string' ? choices(schema) : [];
  const hint =
    typeof value === 'string' || value === null
      ? helpWithText(value, schema, types)
      : helpWithList(value, types);
  const scalar = typeof value === 'number' || typeof value === 'boolean';
  return {
    path,
    keyword: error.keyword,
    message:
      value === null
        ? `is empty, expected ${wanted}`
        : `expected ${wanted}, found ${describeValue(value)}${options.length === 0 ? '' : didYouMean(String(value), options)}`,
    at: value === null ? 'key' : 'value',
    ...(hint === undefined ? {} : { hint }),
    ...(scalar && types?.has('string')
      ? {
          wantsText: {
            expected: wanted,
            ...(schema.pattern === undefined ? {} : { pattern: schema.pattern }),
          },
        }
      : {}),
  };
}

function choices(schema: JsonSchema): string[] {
  const own = [...(schema.enum ?? []), ...('const' in schema ? [schema.const] : [])];
  const nested = (schema.oneOf ?? schema.anyOf ?? []).flatMap(choices);
  return [...own.filter((value) => typeof value === 'string'), ...nested];
}

function helpWithText(
  value: string | null,
  schema: JsonSchema,
  types: ReturnType<typeof acceptedTypes>,
): string | undefined {
  if (value === null) return undefined;
  if (types?.has('array') && !types.has('string')) return `Write it as a list: [${value}].`;
  const asNumber = value.trim() === '' ? Number.NaN : Number(value);
  if (!Number.isNaN(asNumber) && !types?.has('string') && accepts(types, typeOf(asNumber))) {
    return `Write it without quotes: ${value}.`;
  }
  if (types?.has('boolean') && !types.has('string') && /^(y|n|yes|no|on|off|true|false)$/i.test(value)) {
    return 'Write true or false; yes, no, on and off are plain text in YAML 1.2.';
  }
  const example = schema.examples?.find((each) => typeof each === 'string');
  return schema.pattern !== undefined && schema['x-expected'] === undefined && example !== undefined
    ? `For example: ${String(example)}`
    : undefined;
}

function helpWithList(value: unknown, types: ReturnType<typeof acceptedTypes>): string | undefined {
  if (types?.has('array') && !isRecord(value) && !Array.isArray(value))
    return `Write it as a list: [${String(value)}].`;
  if (
    Array.isArray(value) &&
    value.length === 1 &&
    types !== undefined &&
    !types.has('array') &&
    (types.has('string') || types.has('number') || types.has('integer')) &&
    !isRecord(value[0])
  ) {
    return 'Write the one value without [ ] or "- ".';
  }
  return undefined;
}

/** `/suites/a~1b/0` → ['suites', 'a/b', 0]. */
function pathOf(pointer: string, root: unknown): (string | number)[] {
  const path: (string | number)[] = [];
  let current: unknown = root;
  for (const token of pointer.split('/').slice(1)) {
    const text = token.replaceAll('~1', '/').replaceAll('~0', '~');
    const key = Array.isArray(current) ? Number(text) : text;
    path.push(key);
    current =
      isRecord(current) || Array.isArray(current)
        ? (current as Record<string | number, unknown>)[key]
        : undefined;
  }
  return path;
}
