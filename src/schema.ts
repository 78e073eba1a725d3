/**
 * JSON Schema literals as the one source of truth: the schema validates, documents, completes in editors,
 * and `Infer` turns it into the TypeScript type, so that code and validation cannot drift apart.
 */

/** The part of JSON Schema 2020-12 that member files use. `x-` keys are ours and ignored by other tools. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly title?: string;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly propertyNames?: JsonSchema;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly if?: JsonSchema;
  readonly then?: JsonSchema;
  readonly else?: JsonSchema;
  readonly not?: JsonSchema;
  readonly $ref?: string;
  /** The value is a secret: masked wherever it would be shown. */
  readonly 'x-secret'?: boolean;
  /** The value names something declared elsewhere in the plan; validation checks that it exists. */
  readonly 'x-ref'?: Reference;
  /** How a pattern or a union is called in an error message, for example "a duration such as 30s, 5m, 12h, 30d". */
  readonly 'x-expected'?: string;
}

/** Kinds of names a plan can refer to. `database` accepts handles made by earlier steps as well. */
export type Reference = 'database' | 'planDatabase' | 'repository' | 'suite' | 'notifier' | 'step' | 'job';

type Primitive<T> = T extends 'string'
  ? string
  : T extends 'number' | 'integer'
    ? number
    : T extends 'boolean'
      ? boolean
      : T extends 'null'
        ? null
        : unknown;

type Simplify<T> = { [K in keyof T]: T[K] } & {};

type HasDefault<S> = S extends { readonly default: unknown } ? true : false;

type RequiredKeys<P, R> = {
  [K in keyof P]: K extends R ? K : HasDefault<P[K]> extends true ? K : never;
}[keyof P];

type InferObject<P, R> = Simplify<
  { [K in RequiredKeys<P, R>]: Infer<P[K]> } & { [K in Exclude<keyof P, RequiredKeys<P, R>>]?: Infer<P[K]> }
>;

/** The TypeScript type of values that a schema literal accepts. A property with a default is always present: ajv fills it in. */
export type Infer<S> = S extends { readonly const: infer C }
  ? C
  : S extends { readonly enum: readonly (infer E)[] }
    ? E
    : S extends { readonly oneOf: readonly (infer U)[] }
      ? Infer<U>
      : S extends { readonly anyOf: readonly (infer U)[] }
        ? Infer<U>
        : S extends { readonly type: 'object'; readonly properties: infer P }
          ? InferObject<P, S extends { readonly required: readonly (infer R)[] } ? R : never>
          : S extends { readonly type: 'object'; readonly additionalProperties: infer A }
            ? A extends true
              ? Record<string, unknown>
              : Record<string, Infer<A>>
            : S extends { readonly type: 'array'; readonly items: infer I }
              ? Infer<I>[]
              : S extends { readonly type: infer T }
                ? T extends readonly (infer U)[]
                  ? Primitive<U>
                  : Primitive<T>
                : unknown;

/** A duration in the plan: `30s`, `5m`, `12h`, `30d`, `2w`, or a sum such as `1h30m`. */
export const durationSchema = {
  type: 'string',
  pattern: '^(\\d+(\\.\\d+)?(ms|s|m|h|d|w))+$',
  'x-expected': 'a duration such as 30s, 5m, 12h or 30d',
} as const satisfies JsonSchema;

/** A table, optionally schema-qualified: `User`, `audit.Log`, `"odd.name"."Table"`. Case is kept exactly as written. */
export const tableNameSchema = {
  type: 'string',
  minLength: 1,
  'x-expected': 'a table name such as User, audit.Log or "odd.schema"."Odd Table"',
} as const satisfies JsonSchema;

export const columnsSchema = {
  type: 'array',
  items: { type: 'string', minLength: 1 },
  minItems: 1,
} as const satisfies JsonSchema;
