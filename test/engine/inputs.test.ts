import { describe, expect, it } from 'vitest';
import { resolveInputs } from '../../src/engine/inputs.ts';
import type { InputDefinition } from '../../src/plan/model.ts';
import { caught, makeJob, makePlan } from './harness.ts';

const SCOPE = {
  inputs: {},
  steps: {},
  run: { id: 'r1', job: 'job', plan: 'test-plan', startedAt: '2026-11-24T02:00:00.000Z' },
  plan: { name: 'test-plan' },
  state: { failed: false, cancelled: false },
};

function inputsOf(definitions: Record<string, Partial<InputDefinition>>, given: Record<string, unknown>) {
  const { job } = makeJob({ steps: {}, inputs: definitions });
  return resolveInputs(makePlan(), job, given, SCOPE);
}

async function one(definition: Partial<InputDefinition>, given: unknown) {
  return (await inputsOf({ x: definition }, given === undefined ? {} : { x: given })).x;
}

describe('inputs', () => {
  it.each<[Partial<InputDefinition>, unknown, unknown]>([
    [{ type: 'string' }, 'text', 'text'],
    [{ type: 'string' }, '', ''],
    [{ type: 'string' }, 12, '12'],
    [{ type: 'number' }, '12.5', 12.5],
    [{ type: 'number' }, ' 7 ', 7],
    [{ type: 'number' }, 0, 0],
    [{ type: 'boolean' }, 'true', true],
    [{ type: 'boolean' }, 'No', false],
    [{ type: 'boolean' }, '0', false],
    [{ type: 'boolean' }, true, true],
    [{ type: 'duration' }, '1h30m', '1h30m'],
    [{ type: 'database' }, 'crm', 'crm'],
    [{ type: 'backup' }, ' latest-proven ', 'latest-proven'],
    // In the plan's zone, Berlin: winter, summer, the skipped hour and the first of the repeated ones.
    [{ type: 'timestamp' }, '2026-11-24 03:10', '2026-11-24T02:10:00.000Z'],
    [{ type: 'timestamp' }, '2026-07-01T03:10:00', '2026-07-01T01:10:00.000Z'],
    [{ type: 'timestamp' }, '2026-03-29T02:30:00', '2026-03-29T01:30:00.000Z'],
    [{ type: 'timestamp' }, '2026-10-25T02:30:00', '2026-10-25T00:30:00.000Z'],
    [{ type: 'timestamp' }, '2026-11-24T03:10:00-05:00', '2026-11-24T08:10:00.000Z'],
    [{ type: 'timestamp' }, '2026-11-24T03:10:00Z', '2026-11-24T03:10:00.000Z'],
    [{ type: 'timestamp', optional: true }, undefined, null],
    [{ type: 'timestamp', optional: true }, '', null],
    [{ type: 'string', optional: true }, undefined, null],
    [{ type: 'number', default: 3 }, undefined, 3],
    [{ type: 'number', default: '3' }, undefined, 3],
    [{ type: 'number', default: 3 }, '4', 4],
    [{ type: 'number', default: '${{ 1 + 2 }}' }, undefined, 3],
    [{ type: 'string', default: 'run ${{ run.id }} of ${{ plan.name }}' }, undefined, 'run r1 of test-plan'],
    [{ type: 'timestamp', default: '${{ run.startedAt }}' }, undefined, '2026-11-24T02:00:00.000Z'],
    [{ type: 'number', choices: [1, 2] }, '2', 2],
    [{ type: 'boolean', default: false }, undefined, false],
    // A given value is text, never an expression.
    [{ type: 'string' }, '${{ run.id }}', '${{ run.id }}'],
  ])('%j given %j is %j', async (definition, given, expected) => {
    expect(await one(definition, given)).toEqual(expected);
  });

  it.each<[Partial<InputDefinition>, unknown, RegExp]>([
    [{ type: 'number' }, 'many', /input x: "many" is not a number/],
    [{ type: 'number' }, '', /a number is needed/],
    [{ type: 'number' }, 'NaN', /not a number/],
    [{ type: 'number' }, [1], /\[1\] is not a number/],
    [{ type: 'boolean' }, 'perhaps', /neither true nor false/],
    [{ type: 'timestamp' }, 'yesterday', /"yesterday" is not a time/],
    [{ type: 'timestamp' }, '2026-02-30T00:00:00', /is not a time/],
    [{ type: 'timestamp' }, 5, /5 is not a time/],
    [{ type: 'duration' }, '5 minutes', /is not a duration/],
    [{ type: 'database' }, 'crn', /no database "crn"/],
    [{ type: 'backup' }, '  ', /names no backup/],
    [{ type: 'string' }, { a: 1 }, /is not a string/],
    [{ type: 'string', choices: ['fast', 'slow'] }, 'fats', /"fats" is not one of "fast", "slow"/],
    [{ type: 'string', description: 'who asks' }, undefined, /a string is needed \(who asks\)/],
    [{ type: 'number', default: '${{ "a" }}' }, undefined, /"a" is not a number/],
  ])('%j given %j is refused', async (definition, given, message) => {
    const error = await caught(one(definition, given));
    expect(error.code).toBe('INPUT_INVALID');
    expect(error.message).toMatch(message);
  });

  it('may have names that objects have already', async () => {
    const definitions = Object.fromEntries([
      ['__proto__', { default: 'a' }],
      ['constructor', { default: 'b' }],
    ]);
    expect(Object.entries(await inputsOf(definitions, {}))).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });

  it('suggests what was meant', async () => {
    expect((await caught(one({ type: 'database' }, 'crn'))).hint).toBe('Did you mean "crm"?');
    const unknown = await caught(
      inputsOf({ backup: { type: 'backup', default: 'latest' } }, { bakcup: 'x' }),
    );
    expect(unknown.message).toContain('no input "bakcup"');
    expect(unknown.hint).toBe('Did you mean "backup"?');
    expect((await caught(inputsOf({}, { anything: 'x' }))).hint).toBe('This job takes no inputs.');
  });

  it('says everything that is wrong at once', async () => {
    const error = await caught(
      inputsOf({ a: { type: 'number' }, b: {}, c: { type: 'boolean' } }, { a: 'x', c: 'y', d: 1 }),
    );
    for (const part of ['input "d"', 'input a', 'input b', 'input c']) expect(error.message).toContain(part);
  });
});
