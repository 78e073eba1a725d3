import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import {
  asksForStatus,
  evaluate,
  evaluateCondition,
  hasExpression,
  mentionedSteps,
  referencesIn,
  type Scope,
} from '../../src/plan/expressions.ts';

const scope: Scope = {
  inputs: {
    backup: 'latest',
    at: null,
    count: 3,
    half: 0.5,
    fast: true,
    'odd name': 'x',
    constructor: 'plain',
  },
  steps: {
    dump: {
      status: 'succeeded',
      outputs: { backup: 'local:1', bytes: 1500, list: ['a', 'b'], map: { k: 1 }, none: null },
    },
    skipped: { status: 'skipped', outputs: {} },
    failed: { status: 'failed' },
  },
  run: { id: 'r1', job: 'nightly', plan: 'crm', startedAt: new Date(0) },
  plan: { name: 'crm' },
  state: { failed: false, cancelled: false },
};

function failure(action: () => unknown): BackplanError {
  try {
    action();
  } catch (error) {
    if (error instanceof BackplanError) return error;
    throw error;
  }
  throw new Error('no failure');
}

describe('evaluate', () => {
  it.each<[string, unknown]>([
    ['inputs.backup', 'latest'],
    ['inputs.at', null],
    ['inputs.count', 3],
    ['inputs.count + 1', 4],
    ['inputs.count * inputs.half', 1.5],
    ['inputs.half + 1', 1.5],
    ['7 / 2', 3],
    ['7 / 2.0', 3.5],
    ['inputs.count > 2.5', true],
    ['inputs.at == null', true],
    ['inputs.backup == null', false],
    ['inputs.backup != null', true],
    ['inputs["odd name"]', 'x'],
    ['inputs.constructor', 'plain'],
    ['steps.dump.outputs.list', ['a', 'b']],
    ['steps.dump.outputs.map', { k: 1 }],
    ['steps.dump.outputs.list.size()', 2],
    ['steps.dump.outputs.list.exists(x, x == "a")', true],
    ['steps.dump.outputs.list.map(x, x + "!")', ['a!', 'b!']],
    ['steps.dump.outputs.bytes / 1000', 1],
    ['steps.dump.status', 'succeeded'],
    ['steps.failed.status', 'failed'],
    ['has(steps.skipped.outputs.backup)', false],
    ['has(steps.dump.outputs.backup) ? steps.dump.outputs.backup : "none"', 'local:1'],
    ['run.id + "/" + run.job', 'r1/nightly'],
    ['run.startedAt', '1970-01-01T00:00:00.000Z'],
    ['timestamp(run.startedAt).getFullYear()', 1970],
    ['plan.name.matches("^c.m$")', true],
    ['"a" in ["a", 1]', true],
    ['[1, "a", null]', [1, 'a', null]],
    ['{"a": 1, "__proto__": {"x": 1}}', { a: 1 }],
    ['bytes("{\\"a\\":[1]}").json()', { a: [1] }],
    ['always() && success() && !failure() && !cancelled()', true],
    ["'it''s'.size() > 0 || true", undefined],
  ])('%s', (source, value) => {
    if (value === undefined)
      return expect(failure(() => evaluate(`\${{ ${source} }}`, scope)).code).toBe('EXPRESSION_FAILED');
    expect(evaluate(`\${{ ${source} }}`, scope)).toEqual(value);
  });

  it('goes through data, keeps types of whole values and makes text of parts', () => {
    const template = {
      whole: '${{ inputs.count }}',
      spaced: ' ${{ inputs.count }}',
      text: 'n=${{ inputs.count }} none=${{ inputs.at }} list=${{ steps.dump.outputs.list }} $${{ kept }} $${A} ${B}',
      nested: [{ a: '${{ inputs.fast }}' }, 5, null, true],
      plain: 'no template',
    };
    expect(evaluate(template, scope)).toEqual({
      whole: 3,
      spaced: ' 3',
      text: 'n=3 none= list=["a","b"] ${{ kept }} ${A} ${B}',
      nested: [{ a: true }, 5, null, true],
      plain: 'no template',
    });
    expect(template.nested).toEqual([{ a: '${{ inputs.fast }}' }, 5, null, true]);
  });

  it.each([
    ['steps.skipped.outputs.backup', 'step "skipped" has no output "backup", its status is skipped'],
    ['steps.failed.outputs.backup', 'step "failed" has no output "backup", its status is failed'],
    ['steps.dump.outputs.backp', 'step "dump" has no output "backp"'],
    ['steps.nope.outputs.x', 'there is no step "nope" before this one'],
    ['inputs.nope', 'there is no input "nope"'],
    ['run.nope', '"run" has no "nope"'],
    ['inputs.at.year', '"inputs.at" has no "year"'],
    ['inputs.backup + 1', '"+" is not possible between text and a whole number'],
    ['1 / 0', 'it divides by zero'],
    ['9007199254740993', 'the number 9007199254740993 is too big'],
    ['9223372036854775807 + 1', 'a number is too big'],
    ['1.0 / 0.0', 'the result is not a number'],
    ['nope', 'unknown name "nope"'],
    ['inputs.count ? 1 : 2', 'what stands before "?" must be true or false'],
    ['type(1)', 'the result is no text, number, list or map'],
    ['1 +', 'it ends too early'],
    ["'a", 'the closing quote is missing'],
    ['"a".matches("(")', 'Invalid regular expression'],
    [`"${'a'.repeat(5000)}"`, 'it is too long'],
  ])('%s fails in words', (source, message) => {
    const error = failure(() => evaluate(`\${{ ${source} }}`, scope));
    expect(error.code).toBe('EXPRESSION_FAILED');
    expect(error.message).toContain(message);
    expect(error.message.split('\n')).toHaveLength(1);
  });

  it('executes no code and reaches no prototype', () => {
    for (const source of [
      'inputs.toString',
      'steps.constructor',
      'steps.__proto__',
      'steps.dump.outputs.list.constructor',
      'steps.dump.outputs.map.constructor.constructor("return process")()',
      '"".constructor',
      'inputs.backup.constructor',
      'constructor',
      'globalThis',
      'process.exit(1)',
      'this',
      'steps.dump["__proto__"]',
      'always.constructor',
      '(() => 1)()',
      'import("fs")',
      '`${1}`',
    ]) {
      expect(failure(() => evaluate(`\${{ ${source} }}`, scope)).code).toBe('EXPRESSION_FAILED');
    }
  });

  it('does not pollute: maps with odd keys stay maps', () => {
    const result = evaluate('${{ bytes("{\\"__proto__\\":{\\"polluted\\":1}}").json() }}', scope);
    expect(result).toEqual({});
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('never hangs: regular expressions and nested macros are cut after a second', () => {
    const items = Array.from({ length: 2000 }, (_each, index) => index);
    const big: Scope = { ...scope, inputs: { items, text: 'a'.repeat(60) } };
    for (const source of [
      'inputs.text.matches("^(a+)+b$")',
      'inputs.items.all(a, inputs.items.all(b, inputs.items.all(c, a + b + c >= 0)))',
    ]) {
      expect(failure(() => evaluate(`\${{ ${source} }}`, big)).message).toContain('longer than a second');
    }
    expect(evaluate('${{ 1 + 1 }}', scope)).toBe(2);
  });

  it('never throws anything but its own error, whatever is written', () => {
    const piece = fc.constantFrom(
      ...[
        'inputs',
        'steps',
        '.',
        'dump',
        'outputs',
        'count',
        '(',
        ')',
        '[',
        ']',
        '{',
        '}',
        '"',
        "'",
        '1',
        '+',
        '==',
        '?',
        ':',
      ],
      ...[
        '&&',
        '!',
        ',',
        'map',
        'x',
        'has',
        'size',
        'null',
        'in',
        'b',
        'r',
        '\\',
        '-',
        '0x',
        '1e',
        '//',
        ' ',
        '__proto__',
        'cel',
      ],
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 14 }), (list) => {
        try {
          evaluate(`\${{ ${list.join('')} }}`, scope);
        } catch (error) {
          expect(error).toBeInstanceOf(BackplanError);
        }
      }),
      { numRuns: 1500 },
    );
  });
});

describe('evaluateCondition', () => {
  const when = (failed: boolean, cancelled = false): Scope => ({ ...scope, state: { failed, cancelled } });

  it.each<[string | undefined, boolean, boolean, boolean]>([
    // condition, when all went well, when a need failed, when cancelled
    [undefined, true, false, false],
    ['success()', true, false, false],
    ['failure()', false, true, false],
    ['cancelled()', false, false, true],
    ['always()', true, true, true],
    ['!cancelled()', true, true, false],
    ['inputs.fast', true, false, false],
    ['inputs.count == 4', false, false, false],
    ['failure() || cancelled()', false, true, true],
    ['always() && inputs.count == 3', true, true, true],
    ['"always()" == "x"', false, false, false],
    ['false', false, false, false],
  ])('%s', (condition, well, failed, cancelled) => {
    expect(evaluateCondition(condition, when(false))).toBe(well);
    expect(evaluateCondition(condition, when(true))).toBe(failed);
    expect(evaluateCondition(condition, when(false, true))).toBe(cancelled);
  });

  it('must be true or false', () => {
    expect(failure(() => evaluateCondition('inputs.backup', scope)).message).toContain(
      'must be true or false, this is string',
    );
    expect(failure(() => evaluateCondition('inputs.at', scope)).message).toContain('this is null');
  });
});

describe('what expressions mention', () => {
  it('finds steps anywhere in a value', () => {
    const value = {
      a: 'x ${{ steps.one.outputs.y }} ${{ steps["two"].status }}',
      b: [{ c: '${{ has(steps.three.outputs.z) ? steps.four.outputs.z : inputs.steps }}' }],
      d: '$${{ steps.five.status }} steps.six ${{ "steps.seven" }} ${{ broken( steps.eight }}',
      e: '${{ [1].map(steps, steps.nine) }} ${{ inputs.list.filter(x, x == steps.ten.status) }}',
    };
    expect([...mentionedSteps(value)].sort()).toEqual(['four', 'one', 'ten', 'three', 'two']);
    expect(hasExpression(value)).toBe(true);
    expect(hasExpression({ a: ['$${{ x }}', 1, null] })).toBe(false);
  });

  it('says where', () => {
    expect(referencesIn('1 + steps.dump.outputs["a b"].c')).toEqual([
      {
        root: 'steps',
        start: 4,
        end: 31,
        keys: [
          { name: 'dump', start: 10, end: 14 },
          { name: 'outputs', start: 15, end: 22 },
          { name: 'a b', start: 23, end: 28 },
          { name: 'c', start: 30, end: 31 },
        ],
      },
    ]);
  });

  it('tells status functions from text', () => {
    expect(asksForStatus('always()')).toBe(true);
    expect(asksForStatus('inputs.x && (failure() || false)')).toBe(true);
    expect(asksForStatus('"always()" == inputs.x')).toBe(false);
  });
});
