import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { BIN, cli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/database.ts';

const PLAN = `version: 1
name: completion
databases: { crm: { url: "\${CRM_URL}" }, billing: { url: "\${BILLING_URL}" } }
repositories: { near: { path: ./near }, far: { path: ./far } }
suites: { quick: [ { tables: [User] } ] }
jobs:
  nightly:
    description: what cron does
    steps: { dump: { uses: backup, with: { database: crm, repository: near } } }
  restore:
    inputs: { backup: { type: backup, default: latest, description: which one } }
    steps: { dump: { uses: backup, with: { database: crm, repository: near } } }
`;

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  writeFileSync(join(folder, 'plan.yaml'), PLAN);
  writeFileSync(join(folder, 'notes.txt'), '');
  writeFileSync(join(folder, '$(touch hacked).yaml'), '');
  mkdirSync(join(folder, 'more'));
  writeFileSync(join(folder, 'more', 'other.yml'), '');
  mkdirSync(join(folder, 'bin'));
  symlinkSync(BIN, join(folder, 'bin', 'backplan'));
});

/** What is offered for a line, without descriptions, and the directive. */
async function offered(...words: string[]): Promise<{ values: string[]; directive: number }> {
  const { stdout, code } = await cli(['complete', '--', ...words], {
    cwd: folder,
    env: { BACKPLAN_STATE: join(folder, 'state') },
  });
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  return {
    values: lines.slice(0, -1).map((line) => line.split('\t')[0] ?? ''),
    directive: Number(lines.at(-1)?.slice(1)),
  };
}

describe('what is offered', () => {
  it.each([
    [['val'], ['validate']],
    [['run', 'pl'], ['plan.yaml']],
    [['run', 'more/'], ['more/other.yml']],
    [
      ['run', 'plan.yaml', ''],
      ['nightly', 'restore'],
    ],
    [['run', 'plan.yaml', 'restore', '--input', ''], ['backup=']],
    [['backup', 'plan.yaml', 'b'], ['billing']],
    [['backup', 'plan.yaml', '--repository', 'f'], ['far']],
    [
      ['backup', 'plan.yaml', '-r', ''],
      ['near', 'far'],
    ],
    [['check', 'plan.yaml', ''], ['quick']],
    [
      ['restore', 'plan.yaml', ''],
      ['latest-proven', 'latest'],
    ],
    [
      ['restore', 'plan.yaml', '--into', ''],
      ['sandbox', 'staging'],
    ],
    [['runs', 'plan.yaml', ''], []],
    [
      ['--output', ''],
      ['text', 'json'],
    ],
    [['runs', 'plan.yaml', '--status=f'], ['failed']],
    [['completion', 'z'], ['zsh']],
    [['schema', '--l'], ['--list']],
    [['nonsense', ''], []],
    [['run', 'missing.yaml', ''], []],
    [['validate', 'plan.yaml', 'more/o'], ['more/other.yml']],
  ])('%j', async (words, expected) => expect((await offered(...words)).values).toEqual(expected));

  it('are options, but not those that were given and cannot be repeated', async () => {
    const { values } = await offered('run', 'plan.yaml', 'restore', '--dry-run', '--input', 'a=b', '--');
    expect(values).toContain('--input');
    expect(values).toContain('--state');
    expect(values).not.toContain('--dry-run');
  });

  it('are plans and folders, which go on without a blank; never a name that a shell would run', async () => {
    expect(await offered('validate', '')).toEqual({ values: ['bin/', 'more/', 'plan.yaml'], directive: 6 });
  });
});

describe.skipIf(!existsSync('/bin/bash'))('bash', () => {
  it('completes with the script that `completion bash` prints', async () => {
    const { stdout: script } = await cli(['completion', 'bash']);
    const program = `${script}
      try() {
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=\${#COMP_LINE}; COMPREPLY=()
        __backplan_complete 2> /dev/null
        echo "\${COMPREPLY[*]}"
      }
      try backplan ru
      try backplan run pl
      try backplan run plan.yaml ""
      try backplan restore plan.yaml --into ""
    `;
    const result = spawnSync('/bin/bash', ['--norc', '-c', program], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: `${join(folder, 'bin')}:${join(process.execPath, '..')}:${process.env.PATH}` },
    });
    expect(result.stderr).toBe('');
    expect(result.stdout.trimEnd().split('\n')).toEqual([
      'run runs',
      'plan.yaml',
      'nightly restore',
      'sandbox staging',
    ]);
    expect(existsSync(join(folder, 'hacked'))).toBe(false);
  });
});

describe('scripts', () => {
  it.each(['bash', 'zsh', 'fish', 'powershell'])('for %s', async (shell) => {
    const { stdout, code } = await cli(['completion', shell]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/backplan.{0,3} complete\b.*--|complete -- /);
  });
});
