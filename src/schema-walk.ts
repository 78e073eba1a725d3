/** Walking a JSON Schema beside a value: defaults, unions, accepted types, and what a schema is called in words. */
import type { JsonSchema } from './schema.ts';

export type JsonType = 'string' | 'number' | 'integer' | 'boolean' | 'array' | 'object' | 'null';

/** True for `{…}` and nothing else: no array, no null, no Date. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** An own property, or undefined: names come from plans and may be called `constructor`. */
export function own<T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

/** The JSON types that a schema lets through; undefined when it does not say. */
export function acceptedTypes(schema: JsonSchema): ReadonlySet<JsonType> | undefined {
  if (schema.type !== undefined) {
    return new Set((typeof schema.type === 'string' ? [schema.type] : schema.type) as JsonType[]);
  }
  if ('const' in schema) return new Set([typeOf(schema.const)]);
  if (schema.enum !== undefined) return new Set(schema.enum.map(typeOf));
  const branches = schema.oneOf ?? schema.anyOf;
  if (branches === undefined) return undefined;
  const types = new Set<JsonType>();
  for (const branch of branches) {
    const accepted = acceptedTypes(branch);
    if (accepted === undefined) return undefined;
    for (const type of accepted) types.add(type);
  }
  return types;
}

export function typeOf(value: unknown): JsonType {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  if (typeof value === 'string' || typeof value === 'boolean') return typeof value as JsonType;
  return 'object';
}

/** True when `accepted` lets a value of this type in (a whole number is a number). */
export function accepts(accepted: ReadonlySet<JsonType> | undefined, type: JsonType): boolean {
  return accepted === undefined || accepted.has(type) || (type === 'integer' && accepted.has('number'));
}

/** Whether a value has the shape of a schema: types, constants and keys, not patterns and bounds. */
export function fits(schema: JsonSchema, value: unknown): boolean {
  if (schema.type !== undefined && !accepts(acceptedTypes({ type: schema.type }), typeOf(value)))
    return false;
  if ('const' in schema && schema.const !== value) return false;
  if (schema.enum !== undefined && !schema.enum.includes(value)) return false;
  const branches = schema.oneOf ?? schema.anyOf;
  if (branches !== undefined && !branches.some((branch) => fits(branch, value))) return false;
  if (!isRecord(value)) return true;
  if (schema.required?.some((key) => !Object.hasOwn(value, key))) return false;
  return Object.entries(value).every(([key, each]) => {
    const property = own(schema.properties, key);
    if (property !== undefined) return !('const' in property) || property.const === each;
    return schema.additionalProperties !== false || matching(schema, key) !== undefined;
  });
}

/** The branch of a union that a value was meant for, by its shape; undefined without a union or a fit. */
export function branchFor(schema: JsonSchema, value: unknown): JsonSchema | undefined {
  return (schema.oneOf ?? schema.anyOf)?.find((branch) => fits(branch, value));
}

/** The schema of one property of an object schema, unions looked through by the shape of the object. */
export function propertySchema(
  schema: JsonSchema,
  key: string,
  object: Record<string, unknown>,
): JsonSchema | undefined {
  const direct = own(schema.properties, key) ?? matching(schema, key);
  if (direct !== undefined) return direct;
  for (const part of schema.allOf ?? []) {
    const found = propertySchema(part, key, object);
    if (found !== undefined) return found;
  }
  const branches = schema.oneOf ?? schema.anyOf;
  if (branches !== undefined) {
    const best =
      branchFor(schema, object) ?? branches.find((branch) => own(branch.properties, key) !== undefined);
    const found = best === undefined ? undefined : propertySchema(best, key, object);
    if (found !== undefined) return found;
  }
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

/** The schema of a list's entries. */
export function itemSchema(schema: JsonSchema, list: readonly unknown[]): JsonSchema | undefined {
  if (schema.items !== undefined) return schema.items;
  const branch =
    branchFor(schema, list) ?? (schema.oneOf ?? schema.anyOf)?.find((each) => each.items !== undefined);
  return branch === undefined ? undefined : itemSchema(branch, list);
}

function matching(schema: JsonSchema, key: string): JsonSchema | undefined {
  return Object.entries(schema.patternProperties ?? {}).find(([pattern]) =>
    new RegExp(pattern).test(key),
  )?.[1];
}

/**
 * Calls `visit` for every value inside `value` with the schema that describes it, outermost first. A text or a
 * number in a union is a secret or a name when it is one in the branch that it was meant for.
 */
export function walk(
  schema: JsonSchema | undefined,
  value: unknown,
  visit: (schema: JsonSchema | undefined, value: unknown, path: readonly (string | number)[]) => void,
  path: readonly (string | number)[] = [],
): void {
  visit(schema === undefined ? undefined : withMarks(schema, value), value, path);
  if (Array.isArray(value)) {
    const items = schema === undefined ? undefined : itemSchema(schema, value);
    for (const [index, item] of value.entries()) walk(items, item, visit, [...path, index]);
  } else if (isRecord(value)) {
    for (const [key, item] of Object.entries(value)) {
      walk(schema === undefined ? undefined : propertySchema(schema, key, value), item, visit, [
        ...path,
        key,
      ]);
    }
  }
}

/** The schema with the marks of the branch that a scalar was meant for. */
function withMarks(schema: JsonSchema, value: unknown): JsonSchema {
  if (Array.isArray(value) || isRecord(value)) return schema;
  const { 'x-secret': secret, 'x-ref': reference } = branchFor(schema, value) ?? {};
  return {
    ...schema,
    ...(secret === undefined ? {} : { 'x-secret': secret }),
    ...(reference === undefined ? {} : { 'x-ref': reference }),
  };
}

/**
 * Fills in defaults, in place. Unlike ajv's own `useDefaults` it also reaches into the branch of a union that the
 * value has the shape of, so that the type inferred from a schema (a default is always there) holds everywhere.
 */
export function fillDefaults(schema: JsonSchema, value: unknown): void {
  if (Array.isArray(value)) {
    for (const item of value) {
      const items = itemSchema(schema, value);
      if (items !== undefined) fillDefaults(items, item);
    }
    return;
  }
  if (!isRecord(value) || !Object.isExtensible(value)) return;
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    if (!Object.hasOwn(value, key) && 'default' in property) value[key] = structuredClone(property.default);
  }
  for (const [key, item] of Object.entries(value)) {
    const property = own(schema.properties, key) ?? matching(schema, key);
    if (property !== undefined) fillDefaults(property, item);
    else if (typeof schema.additionalProperties === 'object') fillDefaults(schema.additionalProperties, item);
  }
  for (const part of schema.allOf ?? []) fillDefaults(part, value);
  const branch = branchFor(schema, value);
  if (branch !== undefined) fillDefaults(branch, value);
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map (key: value)',
  null: 'nothing',
};

/** What a schema wants, in words: `a duration such as 30s`, `"sandbox" or a map with staging`. */
export function expectation(schema: JsonSchema): string {
  if (schema['x-expected'] !== undefined) return schema['x-expected'];
  if ('const' in schema) return quote(schema.const);
  if (schema.enum !== undefined) {
    const values = schema.enum.map((value) => (typeof value === 'string' ? value : quote(value)));
    return values.length === 1 ? quote(schema.enum[0]) : `one of ${values.join(', ')}`;
  }
  const branches = schema.oneOf ?? schema.anyOf;
  if (branches !== undefined) return [...new Set(branches.map(expectation))].join(' or ');
  const types =
    schema.type === undefined ? [] : typeof schema.type === 'string' ? [schema.type] : schema.type;
  if (types.length === 0) return schema.properties === undefined ? 'another value' : mapWords(schema);
  return types
    .filter((type) => type !== 'null' || types.length === 1)
    .map((type) => (type === 'object' ? mapWords(schema) : (TYPE_WORDS[type] ?? type)))
    .join(' or ');
}

function mapWords(schema: JsonSchema): string {
  const keys = schema.required ?? Object.keys(schema.properties ?? {});
  return keys.length === 0 || keys.length > 4 ? 'a map (key: value)' : `a map with ${keys.join(', ')}`;
}

/** A value as a message shows it: text in quotes and shortened, the rest named. */
export function describeValue(value: unknown): string {
  switch (typeOf(value)) {
    case 'string':
      return quote(value);
    case 'number':
    case 'integer':
      return `the number ${String(value)}`;
    case 'boolean':
      return String(value);
    case 'null':
      return 'nothing';
    case 'array':
      return 'a list';
    default:
      return 'a map';
  }
}

function quote(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? String(value);
  const line = value.replace(/\s+/g, ' ');
  return JSON.stringify(line.length > 60 ? `${line.slice(0, 57)}…` : line);
}
