import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commands } from '../../src/cli/index.ts';
import { BIN, cli } from '../helpers/cli.ts';

const names = Object.keys(commands);
const version = (
  JSON.parse(readFileSync(join(BIN, '..', '..', 'package.json'), 'utf8')) as { version: string }
).version;

describe('help', () => {
  it('lists every command, examples and all exit codes', async () => {
    const { code, stdout, stderr } = await cli(['--help']);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    for (const name of names) expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    expect(stdout).toContain('Examples:');
    for (const exit of [0, 1, 2, 3, 4, 5, 6, 130]) expect(stdout).toMatch(new RegExp(`^ +${exit}  \\w`, 'm'));
  });

  it.each(names)('of %s has usage, an example that begins with it, and exit codes', async (name) => {
    const { code, stdout } = await cli([name, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: backplan ${name}\\b`));
    expect(stdout).toMatch(new RegExp(`^  backplan ${name}`, 'm'));
    expect(stdout).toMatch(/^Exit codes:$/m);
    expect(stdout).toContain('--state <folder>');
  });

  it('is the same by `help COMMAND`', async () => {
    const [a, b] = await Promise.all([cli(['help', 'restore']), cli(['restore', '--help'])]);
    expect(a.stdout).toBe(b.stdout);
    expect(a.code).toBe(0);
  });
});

describe('version', () => {
  it.each(['--version', '-V'])('%s', async (flag) => {
    const { code, stdout } = await cli([flag]);
    expect(stdout).toBe(`${version}\n`);
    expect(code).toBe(0);
  });
});

describe('usage errors end with exit code 2, on stderr, with a hint and without a stack', () => {
  it.each([
    [['valdate', 'x.yaml'], 'unknown command "valdate"', 'Did you mean validate?'],
    [['validate', '--outptu', 'json', 'x.yaml'], 'unknown option "--outptu"', 'Did you mean --output?'],
    [['help', 'restor'], 'unknown command "restor"', '`backplan --help`'],
    [['validate'], 'missing required argument "PLANS"', '`backplan validate --help`'],
    [['run', 'a.yaml', 'b', 'c'], 'too many arguments for "run"', '`backplan run --help`'],
    [['runs', 'a.yaml', '--limit', 'many'], '"many" is not a positive whole number', ''],
    [['runs', 'a.yaml', '--status', 'sad'], 'Allowed choices are running, succeeded', ''],
    [['validate', 'x.yaml', '-v', '-q'], 'cannot be used with', ''],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh', ''],
    [[], 'no command was given', 'backplan validate PLAN'],
  ])('%j', async (args, message, hint) => {
    const { code, stderr } = await cli(args);
    expect(code).toBe(2);
    expect(stderr).toContain('error USAGE: ');
    expect(stderr).toContain(message);
    expect(stderr).toContain(hint);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('comes as JSON on stdout when that was asked for', async () => {
    const { code, stdout, stderr } = await cli(['runz', '--output', 'json']);
    expect(code).toBe(2);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      error: expect.objectContaining({ code: 'USAGE', message: 'unknown command "runz"' }),
    });
  });
});

describe('the launcher', () => {
  const underNode = (release: string) =>
    new Promise<{ code: number | null; stderr: string }>((resolve) => {
      const pretend = `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${release}"}})`;
      const child = spawn(process.execPath, ['--import', pretend, BIN, '--version']);
      let stderr = '';
      child.stderr.on('data', (chunk) => {
        stderr += String(chunk);
      });
      child.on('close', (code) => resolve({ code, stderr }));
    });

  it('says in one line which Node is needed on an old one', async () => {
    const { code, stderr } = await underNode('20.19.1');
    expect(code).toBe(6);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain('needs Node 24 or newer, this is 20.19.1');
  });

  it('starts on newer ones', async () => expect((await underNode('26.10.0')).code).toBe(0));
});
