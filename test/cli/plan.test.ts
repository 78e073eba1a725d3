import { describe, expect, it } from 'vitest';
import { byName, oneOf, repositoryFor, suitesFor } from '../../src/cli/plan.ts';
import type { Job, Plan, Step } from '../../src/plan/model.ts';
import { suitesOf } from '../helpers/context.ts';

function step(name: string, uses: string, settings: Record<string, unknown>): Step {
  return { name, uses, with: settings, needs: [], continueOnError: false };
}

function job(name: string, ...steps: Step[]): Job {
  return {
    name,
    notify: [],
    inputs: {},
    steps: Object.fromEntries(steps.map((each) => [each.name, each])),
    onFailure: {},
  };
}

function plan(change: {
  databases?: string[];
  repositories?: string[];
  suites?: string[];
  jobs?: Job[];
}): Plan {
  const { databases = ['crm'], repositories = ['local'], suites = [], jobs = [] } = change;
  return {
    file: 'plan.yaml',
    name: 'test',
    timezone: 'UTC',
    settings: { binDirectories: [], sandbox: { parameters: {} } },
    databases: Object.fromEntries(databases.map((name) => [name, { name, url: 'postgresql://x/y' }])),
    repositories: Object.fromEntries(repositories.map((name) => [name, { name, path: name }])),
    suites: suitesOf(Object.fromEntries(suites.map((name) => [name, []]))),
    notifiers: {},
    jobs: Object.fromEntries(jobs.map((each) => [each.name, each])),
  };
}

const restored = (name: string) => `\${{ steps.${name}.outputs.database }}`;

describe('byName', () => {
  it('suggests the name that was meant and lists the others', () => {
    const attempt = () => byName('database', { crm: 1, billing: 2 }, 'bilings');
    expect(attempt).toThrow('the plan has no database "bilings", did you mean "billing"?');
    expect(attempt).toThrow(expect.objectContaining({ code: 'USAGE', hint: 'There are: crm, billing.' }));
  });

  it('does not take a property of every object for a name', () => {
    expect(() => byName('job', {}, 'constructor')).toThrow('the plan has no job "constructor"');
  });
});

describe('oneOf', () => {
  it('takes the only one', () => expect(oneOf('database', { crm: 'x' }, undefined, 'Name one')).toBe('x'));

  it('asks where there are several, and says how to choose', () => {
    expect(() => oneOf('repository', { a: 1, b: 2 }, undefined, 'Choose with --repository')).toThrow(
      expect.objectContaining({
        message: 'the plan has 2 repositories: which one?',
        hint: 'Choose with --repository: a, b.',
      }),
    );
  });
});

describe('repositoryFor', () => {
  const several = plan({
    repositories: ['near', 'far'],
    jobs: [job('nightly', step('dump', 'backup', { database: 'crm', repository: 'far' }))],
  });

  it('is the one that the plan backs this database up into', () => {
    expect(repositoryFor(several, undefined, 'crm').name).toBe('far');
  });

  it('is the named one all the same', () => expect(repositoryFor(several, 'near', 'crm').name).toBe('near'));

  it('is asked for where the plan does not tell', () => {
    expect(() => repositoryFor(several, undefined, 'other')).toThrow('which one?');
  });
});

describe('suitesFor', () => {
  it('is what a job runs on a staging copy before it promotes, before anything else', () => {
    const promoting = job(
      'restore',
      step('stage', 'restore', { backup: 'latest', into: { staging: 'crm' } }),
      step('check', 'check', { suite: ['strict', 'fast'], database: restored('stage') }),
      step('promote', 'promote', { staging: restored('stage'), database: 'crm' }),
    );
    const rehearsing = job(
      'nightly',
      step('dump', 'backup', { database: 'crm', repository: 'local' }),
      step('rehearse', 'restore', { backup: '${{ steps.dump.outputs.backup }}', into: 'sandbox' }),
      step('check', 'check', { suite: 'loose', database: restored('rehearse') }),
    );
    const suites = ['strict', 'fast', 'loose'];
    const databases = ['crm', 'other'];
    expect(suitesFor(plan({ databases, suites, jobs: [promoting, rehearsing] }), 'crm')).toEqual([
      'strict',
      'fast',
    ]);
    expect(suitesFor(plan({ databases, suites, jobs: [rehearsing] }), 'crm')).toEqual(['loose']);
    expect(suitesFor(plan({ databases, suites, jobs: [promoting, rehearsing] }), 'other')).toEqual([]);
  });

  it('is the only suite of a plan with one database, even if no job runs it', () => {
    expect(suitesFor(plan({ suites: ['only'] }), 'crm')).toEqual(['only']);
    expect(suitesFor(plan({ suites: ['only'], databases: ['crm', 'b'] }), 'crm')).toEqual([]);
    expect(suitesFor(plan({ suites: ['a', 'b'] }), 'crm')).toEqual([]);
  });

  it('is not fooled by steps that refer to each other in a circle', () => {
    const circle = job(
      'odd',
      step('a', 'restore', { database: restored('b') }),
      step('b', 'restore', { database: restored('a') }),
      step('check', 'check', { suite: 'only', database: restored('a') }),
    );
    expect(
      suitesFor(plan({ suites: ['only', 'x'], databases: ['crm', 'b'], jobs: [circle] }), 'crm'),
    ).toEqual([]);
  });
});
