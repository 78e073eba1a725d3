import { describe, expect, it } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { parsePlan } from '../../src/plan/load.ts';
import type { StepVocabulary } from '../../src/plan/vocabulary.ts';
import { validateWith } from '../../src/plan/with.ts';
import { vocabulary } from './vocabulary.ts';

function kind(name: string): StepVocabulary {
  const found = vocabulary.steps.get(name);
  if (found === undefined) throw new Error(`no kind ${name}`);
  return found;
}

async function failure(
  name: string,
  settings: unknown,
  plan?: Parameters<typeof validateWith>[2],
): Promise<BackplanError> {
  const error: unknown = await validateWith(kind(name), settings, plan).catch((reason: unknown) => reason);
  if (error instanceof BackplanError) return error;
  throw new Error('valid');
}

describe('validateWith', () => {
  it('fills defaults, also inside unions, and leaves what it was given alone', async () => {
    const settings = Object.freeze({
      database: 'crm',
      repository: 'local',
      compress: Object.freeze({ method: 'zstd' }),
    });
    expect(await validateWith(kind('backup'), settings)).toEqual({
      database: 'crm',
      repository: 'local',
      fingerprint: 'counts',
      lockTimeout: '60s',
      compress: { method: 'zstd', level: 1 },
    });
    expect(settings).toEqual({ database: 'crm', repository: 'local', compress: { method: 'zstd' } });
  });

  it('fits what the environment and expressions gave', async () => {
    expect(
      await validateWith(kind('backup'), {
        database: 'crm',
        repository: 'local',
        jobs: ' 4 ',
        label: 5,
        compress: { method: 'zstd', level: '3' },
      }),
    ).toMatchObject({ jobs: 4, label: '5', compress: { level: 3 } });
    expect(
      await validateWith(kind('restore'), { backup: 'latest', into: 'sandbox', noOwner: 'true', at: null }),
    ).toEqual({
      backup: 'latest',
      into: 'sandbox',
      noOwner: true,
    });
  });

  it.each([
    ['backup', { database: 'crm', repository: null }, 'with: "repository" is missing'],
    [
      'backup',
      { database: 'crm', repository: 'l', jobs: 'four' },
      'with.jobs: expected a whole number, found "four"',
    ],
    [
      'backup',
      { database: 'crm', repository: 'l', jobs: 0 },
      'with.jobs: must be at least 1, found the number 0',
    ],
    [
      'backup',
      { database: 'crm', repository: 'l', lockTimeout: 'soon' },
      'with.lockTimeout: expected a duration such as 30s, 5m, 12h or 30d, found "soon"',
    ],
    [
      'prune',
      { database: 'crm', repository: 'l', keep: [] },
      'with.keep: expected a map with within, last, proven, found a list',
    ],
    ['check', undefined, 'with: "suite" is missing; with: "database" is missing'],
  ])('%s %j: %s', async (name, settings, message) => {
    const error = await failure(name, settings);
    expect(error.code).toBe('INPUT_INVALID');
    expect(error.message).toBe(message);
  });

  it('looks names up and asks the kind, when there is a plan', async () => {
    const { plan } = await parsePlan(
      'plan.yaml',
      'version: 1\nname: x\ndatabases: { crm: { url: postgres:///a } }\nrepositories: { local: { path: b } }\n',
      vocabulary,
    );
    const settings = { database: 'crn', repository: 'local', keep: { last: 1 } };
    expect((await failure('prune', settings, plan)).message).toBe(
      'with.database: unknown database "crn", did you mean "crm"?',
    );
    const unlucky = { database: 'crm', repository: 'local', keep: { last: '13' } };
    expect((await failure('prune', unlucky, plan)).message).toBe('with.keep.last: 13 is unlucky');
    expect(
      await validateWith(kind('check'), { suite: [], database: 'sandbox:x/crm' }).catch(String),
    ).toContain('the list is empty');
  });
});
