import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { manifestSchema } from '../src/repository/manifest.ts';
import { durationSchema, type JsonSchema } from '../src/schema.ts';
import { acceptedTypes, expectation, fillDefaults, fits, walk } from '../src/schema-walk.ts';
import { suggest } from '../src/suggest.ts';
import { compileSchema } from '../src/validator.ts';
import { AJV_PHRASES } from './plan/vocabulary.ts';

async function told(schema: JsonSchema, value: unknown): Promise<string[]> {
  const check = await compileSchema(schema);
  return check(value).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

const union = {
  oneOf: [
    { const: 'all' },
    { type: 'array', items: { type: 'string' }, minItems: 1 },
    {
      type: 'object',
      required: ['except'],
      additionalProperties: false,
      properties: {
        except: { type: 'array', items: { type: 'string' } },
        strict: { type: 'boolean', default: true },
      },
    },
    {
      type: 'object',
      required: ['only'],
      additionalProperties: false,
      properties: {
        only: { type: 'array', items: { type: 'string' } },
        limit: { type: 'integer', default: 5 },
      },
    },
  ],
} as const satisfies JsonSchema;

describe('compileSchema: unions are explained by the branch that was meant', () => {
  it.each<[value: unknown, messages: string[]]>([
    ['all', []],
    [['a'], []],
    [{ except: [] }, []],
    [
      'al',
      [': expected "all" or a list or a map with except or a map with only, found "al", did you mean "all"?'],
    ],
    [5, [': expected "all" or a list or a map with except or a map with only, found the number 5']],
    [[1], ['0: expected text, found the number 1']],
    [[], [': the list is empty']],
    [{ exept: ['a'] }, ['exept: unknown key, did you mean "except"?']],
    [{ except: 'a' }, ['except: expected a list, found "a"']],
    [{ only: ['a'], limit: 'x' }, ['limit: expected a whole number, found "x"']],
    [{ only: ['a'], zzz: 1 }, ['zzz: unknown key']],
  ])('%j', async (value, messages) => {
    expect(await told(union, value)).toEqual(messages);
  });

  it('one of several keys', async () => {
    const schema = {
      type: 'object',
      properties: { a: {}, b: {} },
      oneOf: [{ required: ['a'] }, { required: ['b'] }],
    } as const;
    expect(await told(schema, {})).toEqual([': one of a or b is missing']);
    expect(await told(schema, { a: 1, b: 1 })).toEqual([': give only one of a or b']);
    expect(await told(schema, { a: 1 })).toEqual([]);
  });

  it('a union in a union', async () => {
    const schema: JsonSchema = {
      anyOf: [{ type: 'boolean' }, { type: 'object', properties: { x: union }, additionalProperties: false }],
    };
    expect(await told(schema, { x: { onyl: [] } })).toEqual(['x.onyl: unknown key, did you mean "only"?']);
  });

  it('lets a value pass that several branches take', async () => {
    expect(await told({ oneOf: [{ type: 'string' }, { enum: ['a'] }] }, 'a')).toEqual([]);
  });
});

describe('compileSchema: other rules in words', () => {
  const rules: [schema: JsonSchema, value: unknown, message: string][] = [
    [{ type: 'integer' }, 1.5, ': expected a whole number, found the number 1.5'],
    [{ type: ['string', 'null'] }, 1, ': expected text, found the number 1'],
    [{ type: 'object' }, null, ': is empty, expected a map (key: value)'],
    [{ type: 'number', exclusiveMinimum: 0 } as JsonSchema, 0, ': must be more than 0, found the number 0'],
    [{ type: 'number', maximum: 9 }, 10, ': must be at most 9, found the number 10'],
    [{ type: 'string', minLength: 1 }, '', ': is empty'],
    [{ type: 'string', maxLength: 2 }, 'abc', ': must have at most 2 characters, found "abc"'],
    [{ type: 'array', minItems: 2 }, [1], ': needs at least 2 entries'],
    [{ type: 'array', uniqueItems: true }, ['a', 'b', 'a'], '2: is the same as entry 1'],
    [{ type: 'object', minProperties: 1 }, {}, ': is empty'],
    [{ type: 'object', maxProperties: 1 }, { a: 1, b: 1 }, ': can have at most 1 key'],
    [{ type: 'object', not: { required: ['a', 'b'] } }, { a: 1, b: 1 }, ': a and b cannot be given together'],
    [durationSchema, '5 minutes', ': expected a duration such as 30s, 5m, 12h or 30d, found "5 minutes"'],
    [{ enum: ['a', 'b'] }, 'c'.repeat(200), `: expected one of a, b, found "${'c'.repeat(57)}…"`],
    [{ type: 'object', propertyNames: { pattern: '^a' } }, { b: 1 }, 'b: is not a possible name'],
    [{ type: 'number', multipleOf: 5 } as JsonSchema, 7, ': must divide by 5, found the number 7'],
    [
      // biome-ignore lint/suspicious/noThenProperty: the key word of JSON Schema
      { type: 'object', if: { required: ['a'] }, then: { required: ['b'] } } as JsonSchema,
      { a: 1 },
      ': "b" is missing',
    ],
  ];

  it.each(rules)('%j %j', async (schema, value, message) => {
    expect(await told(schema, value)).toEqual([message]);
  });

  it('points at the key for keys and at the value for values', async () => {
    const check = await compileSchema({
      type: 'object',
      additionalProperties: false,
      required: ['c'],
      properties: { a: { type: 'string' }, c: {} },
    });
    expect(check({ a: 1, b: 2 }).map(({ path, at }) => [path.join('.'), at])).toEqual([
      ['', 'key'],
      ['b', 'key'],
      ['a', 'value'],
    ]);
  });

  it('exempts what is settled later', async () => {
    const check = await compileSchema(union, { exempt: (value) => value === 'later' });
    expect(check('later')).toEqual([]);
    expect(check({ except: 'later' })).toEqual([]);
    expect(check(['later', 5])).toHaveLength(1);
  });
});

describe('fillDefaults', () => {
  it('reaches into unions, lists and maps', () => {
    const schema: JsonSchema = {
      type: 'object',
      properties: {
        a: { default: { b: 1 } },
        list: { type: 'array', items: union },
        map: { type: 'object', additionalProperties: { type: 'object', properties: { z: { default: 0 } } } },
      },
    };
    const value = { list: [{ only: [] }, { except: [] }, 'all'], map: { one: {}, two: { z: 2 } } };
    fillDefaults(schema, value);
    expect(value).toEqual({
      a: { b: 1 },
      list: [{ only: [], limit: 5 }, { except: [], strict: true }, 'all'],
      map: { one: { z: 0 }, two: { z: 2 } },
    });
    const other = {};
    fillDefaults(schema, other);
    Object.assign((other as { a: object }).a, { changed: true });
    expect(schema.properties?.a?.default).toEqual({ b: 1 });
  });
});

describe('schema-walk', () => {
  it('says what schemas accept', () => {
    expect([...(acceptedTypes(union) ?? [])].sort()).toEqual(['array', 'object', 'string']);
    expect(acceptedTypes({})).toBeUndefined();
    expect(expectation({ type: ['integer', 'null'] })).toBe('a whole number');
    expect(fits(union, { only: 1 })).toBe(true);
    expect(fits(union, { only: 1, x: 1 })).toBe(false);
  });

  it('walks a value beside its schema', () => {
    const seen: string[] = [];
    walk(
      { type: 'object', properties: { u: union } },
      { u: { only: ['a'] }, x: 1 },
      (schema, value, path) => {
        seen.push(
          `${path.join('.')} ${JSON.stringify(value)} ${schema === undefined ? '-' : expectation(schema)}`,
        );
      },
    );
    expect(seen).toEqual([
      ' {"u":{"only":["a"]},"x":1} a map with u',
      'u {"only":["a"]} "all" or a list or a map with except or a map with only',
      'u.only ["a"] a list',
      'u.only.0 "a" text',
      'x 1 -',
    ]);
  });
});

describe('suggest', () => {
  it.each([
    ['databse', 'database'],
    ['keep-previous', 'keepPrevious'],
    ['keepprevious', 'keepPrevious'],
    ['cmr', 'crm'],
    ['config', undefined],
    ['x', undefined],
    ['', undefined],
  ])('%s → %s', (written, meant) => {
    expect(suggest(written, ['database', 'keepPrevious', 'crm', 'repository'])).toBe(meant);
  });
});

describe('whatever is wrong with a manifest', () => {
  it('nothing of it sounds like ajv, and every path exists', async () => {
    const check = await compileSchema(manifestSchema);
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
    const key = fc.constantFrom(
      'id',
      'files',
      'source',
      'fingerprint',
      'tools',
      'selection',
      'manifestVersion',
      'x',
      'path',
    );
    const tree = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(key, tie('value'), { maxKeys: 5 }),
      ),
    })).value;
    fc.assert(
      fc.property(tree, (value) => {
        for (const { message, hint } of check(value)) {
          expect(`${message} ${hint ?? ''}`).not.toMatch(AJV_PHRASES);
          expect(message.length).toBeGreaterThan(5);
        }
      }),
      { numRuns: 500 },
    );
  });
});
