/**
 * The whole plan language as one JSON Schema 2020-12, composed of the plan's own schema and those of all step,
 * check and notifier kinds. Editors complete and explain plans with it; `backplan validate` uses the same parts one by one,
 * because that gives better messages.
 */
import type { JsonSchema } from '../schema.ts';
import { acceptedTypes } from '../schema-walk.ts';
import {
  jobSchema,
  notifierSchema,
  planDocumentSchema,
  ROW_KEYS,
  sharedCheckSchema,
  stepSchema,
} from './schema.ts';
import type { Vocabulary } from './vocabulary.ts';

/** A document with definitions, as it is written to `schemas/`. */
export type SchemaDocument = JsonSchema & {
  readonly $schema: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
};

/** What stands in place of a value that is not known yet. */
const TEMPLATE = {
  type: 'string',
  pattern: '\\$\\{',
  description: '${NAME} from the environment or ${{ expression }}',
} as const satisfies JsonSchema;

/** The schema of plan files for a vocabulary of kinds. */
export function planSchema(vocabulary: Vocabulary): SchemaDocument {
  const kinds = [...vocabulary.steps.values()];
  const checks = [...vocabulary.checks.values()];
  const reached = [...vocabulary.notifiers.values()];
  const steps = { ...jobSchema.properties.steps, additionalProperties: { $ref: '#/$defs/step' } };
  const onFailure = { ...jobSchema.properties.onFailure, additionalProperties: { $ref: '#/$defs/step' } };
  const { suites, settings, notifiers, jobs } = planDocumentSchema.properties;
  const document: SchemaDocument = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    ...planDocumentSchema,
    properties: {
      ...planDocumentSchema.properties,
      settings: withTemplates(settings),
      suites: {
        ...suites,
        additionalProperties: withChecks(suites.additionalProperties),
      },
      notifiers: { ...notifiers, additionalProperties: { $ref: '#/$defs/notifier' } },
      jobs: {
        ...jobs,
        additionalProperties: { ...jobSchema, properties: { ...jobSchema.properties, steps, onFailure } },
      },
    },
    $defs: {
      step: {
        ...stepSchema,
        properties: {
          ...stepSchema.properties,
          uses: {
            ...stepSchema.properties.uses,
            oneOf: kinds.map(({ kind, summary }) => ({
              const: kind,
              ...(summary === undefined ? {} : { description: summary }),
            })),
          },
        },
        allOf: kinds.map(({ kind, with: settings }) => ({
          if: { properties: { uses: { const: kind } }, required: ['uses'] },
          // biome-ignore lint/suspicious/noThenProperty: the key word of JSON Schema
          then: {
            properties: { with: { $ref: `#/$defs/with.${kind}` } },
            ...((settings.required ?? []).length === 0 ? {} : { required: ['with'] }),
          },
        })),
      },
      check: {
        type: 'object',
        description: 'One check: its kind with parameters.',
        additionalProperties: false,
        properties: {
          ...Object.fromEntries(checks.map(({ kind }) => [kind, { $ref: `#/$defs/check.${kind}` }])),
          ...sharedCheckSchema.properties,
        },
        oneOf: checks.map(({ kind }) => ({ required: [kind] })),
      },
      notifier: {
        ...notifierSchema,
        additionalProperties: false,
        properties: {
          ...Object.fromEntries(reached.map(({ kind }) => [kind, { $ref: `#/$defs/notifier.${kind}` }])),
          ...notifierSchema.properties,
        },
        oneOf: reached.map(({ kind }) => ({ required: [kind] })),
      },
      ...Object.fromEntries(
        reached.map(({ kind, summary, settings: of }) => [
          `notifier.${kind}`,
          withTemplates({ ...(summary === undefined ? {} : { description: summary }), ...of }),
        ]),
      ),
      ...Object.fromEntries(
        kinds.map(({ kind, summary, with: settings }) => [
          `with.${kind}`,
          withTemplates({ ...(summary === undefined ? {} : { description: summary }), ...settings }),
        ]),
      ),
      ...Object.fromEntries(
        checks.map(({ kind, summary, params, keys = [] }) => [
          `check.${kind}`,
          withShared(
            withTemplates({ ...(summary === undefined ? {} : { description: summary }), ...params }),
            keys,
          ),
        ]),
      ),
    },
  };
  return withExamples(document) as SchemaDocument;
}

/** A suite whose list of checks is described by their kinds. */
function withChecks(suite: JsonSchema): JsonSchema {
  const items = { $ref: '#/$defs/check' };
  return {
    ...suite,
    oneOf: (suite.oneOf ?? []).map((form) =>
      form.type === 'array'
        ? { ...form, items }
        : { ...form, properties: { ...form.properties, checks: { ...form.properties?.checks, items } } },
    ),
  };
}

/** Every value inside may also be a template; what editors show (description, examples) stays on the outside. */
function withTemplates(schema: JsonSchema, outermost = true): JsonSchema {
  const inner: JsonSchema = {
    ...schema,
    ...mapped('properties', schema.properties, (each) => withTemplates(each, false)),
    ...(typeof schema.additionalProperties === 'object'
      ? { additionalProperties: withTemplates(schema.additionalProperties, false) }
      : {}),
    ...(schema.items === undefined ? {} : { items: withTemplates(schema.items, false) }),
    ...branches('oneOf', schema.oneOf),
    ...branches('anyOf', schema.anyOf),
    ...branches('allOf', schema.allOf),
  };
  const types = acceptedTypes(schema);
  const free = schema.pattern === undefined && schema.enum === undefined && !('const' in schema);
  const isText =
    types?.has('string') === true && free && schema.oneOf === undefined && schema.anyOf === undefined;
  if (outermost || isText || types === undefined) return inner;
  const { description, examples: given, default: standard, title, ...rest } = inner;
  const example = exampleOf(schema);
  const examples = given ?? (example === undefined ? undefined : [example]);
  return {
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(examples === undefined ? {} : { examples }),
    ...('default' in inner ? { default: standard } : {}),
    ...('x-secret' in inner ? { 'x-secret': inner['x-secret'] } : {}),
    anyOf: [rest, TEMPLATE],
  };
}

function branches(key: 'oneOf' | 'anyOf' | 'allOf', list: readonly JsonSchema[] | undefined): JsonSchema {
  return list === undefined ? {} : { [key]: list.map((each) => withTemplates(each, true)) };
}

function mapped(
  key: 'properties',
  record: Readonly<Record<string, JsonSchema>> | undefined,
  map: (schema: JsonSchema) => JsonSchema,
): JsonSchema {
  if (record === undefined) return {};
  return { [key]: Object.fromEntries(Object.entries(record).map(([name, each]) => [name, map(each)])) };
}

/** Inside a check's map the keys of all checks may stand, unless the kind has one of the same name. */
function withShared(schema: JsonSchema, keys: readonly string[]): JsonSchema {
  const lists = (key: 'oneOf' | 'anyOf') => {
    const list = schema[key];
    return list === undefined ? {} : { [key]: list.map((each) => withShared(each, keys)) };
  };
  if (schema.properties === undefined) return { ...schema, ...lists('oneOf'), ...lists('anyOf') };
  const shared = Object.entries(sharedCheckSchema.properties).filter(
    ([key]) => !ROW_KEYS.includes(key) || keys.includes(key),
  );
  return { ...schema, properties: { ...Object.fromEntries(shared), ...schema.properties } };
}

/** Where a schema gives no example, its default, its choices or its type give one. */
function withExamples(value: unknown, isSchema = true): unknown {
  if (Array.isArray(value)) return value.map((item) => withExamples(item));
  if (value === null || typeof value !== 'object') return value;
  const copy = Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (isSchema && LITERALS.has(key)) return [key, item];
      return [key, withExamples(item, !(isSchema && MAPS.has(key)))];
    }),
  );
  if (!isSchema || copy.examples !== undefined || copy.description === undefined) return copy;
  const example = exampleOf(copy as JsonSchema);
  return example === undefined ? copy : { ...copy, examples: [example] };
}

const LITERALS = new Set(['examples', 'default', 'const', 'enum', 'required', 'type']);
const MAPS = new Set(['properties', 'patternProperties', '$defs']);

function exampleOf(schema: JsonSchema): unknown {
  if ('const' in schema) return undefined;
  if ('default' in schema) return schema.default;
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.type === 'boolean') return true;
  if (schema.properties === undefined) return undefined;
  // A map is shown with what it must hold.
  const entries = (schema.required ?? []).map((key) => {
    const property = schema.properties?.[key] ?? {};
    return [key, property.examples?.[0] ?? exampleOf(property)] as const;
  });
  return entries.length === 0 || entries.some(([, example]) => example === undefined)
    ? undefined
    : Object.fromEntries(entries);
}
