import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadLog } from '../../src/log.ts';
import { makeRunLogReporter } from '../../src/report/run-log.ts';
import { Masker } from '../../src/secret.ts';
import { temporaryFolder } from '../helpers/database.ts';
import { events, record } from './events.ts';

function linesOf(file: string): Record<string, unknown>[] {
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('log of a run', () => {
  it('has run, job, step, level and time on every line', async () => {
    const file = join(temporaryFolder(), 'logs', 'crm', 'run.jsonl');
    const reporter = await makeRunLogReporter();
    for (const event of events(file)) reporter.on(event);
    await reporter.close?.();
    const lines = linesOf(file);
    for (const line of lines) {
      expect(line).toMatchObject({ run: record.id, job: 'nightly', message: expect.any(String) });
      expect(['debug', 'info', 'warn', 'error']).toContain(line.level);
      expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      expect(line.step === null || typeof line.step === 'string').toBe(true);
    }
    const said = lines.map(({ level, step, message }) => `${level} ${step}: ${message}`);
    expect(said).toContain('warn dump: try 2 in 1500 ms, after: refused');
    expect(said).toContain('debug dump: pg_dump: reading schemas');
    expect(said).toContain('error check: step failed: 1 of 3 checks failed');
    expect(said).toContain('warn safety: step failed: cannot connect to app@db:5432/crm');
    expect(said).toContain('info prune: step skipped: check failed');
    expect(said.at(-1)).toMatch(
      /^error null: run failed: step load failed: pg_restore ended with exit code 1/,
    );
    // A field of a step kind does not replace what every line carries.
    expect(lines.find(({ message }) => message === 'large objects left out')).toMatchObject({
      run: record.id,
      run_: 'mine',
      n: 3,
    });
    expect(lines.filter(({ progress }) => progress !== undefined)).toHaveLength(1);
    expect(lines.find(({ message }) => String(message).includes('1 of 3 checks'))).toMatchObject({
      report: { summary: '1 of 3 checks failed' },
      stderr: 'noise of the check',
    });
    expect(statSync(file).mode & 0o077).toBe(0);
  });

  it('that cannot be opened is said once and harms nobody', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'logs'), 'a file, not a folder');
    const problems: string[] = [];
    const reporter = await makeRunLogReporter({ onProblem: (message) => problems.push(message) });
    for (const event of events(join(folder, 'logs', 'run.jsonl'))) reporter.on(event);
    await reporter.close?.();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(join(folder, 'logs', 'run.jsonl'));
  });

  it('that cannot grow is said once and harms nobody', async () => {
    const problems: string[] = [];
    const reporter = await makeRunLogReporter({ onProblem: (message) => problems.push(message) });
    for (const event of events('/dev/full')) reporter.on(event);
    await reporter.close?.();
    await expect.poll(() => problems.length).toBe(1);
    expect(problems[0]).toContain('/dev/full');
  });

  it('loses nothing that was said when the process is killed', async () => {
    const file = join(temporaryFolder(), 'run.jsonl');
    const program = join(import.meta.dirname, 'programs', 'log-writer.ts');
    const child = spawn(process.execPath, [program, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += String(chunk);
      if (said.length > 2000) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const last = Number(said.trimEnd().split('\n').at(-1));
    expect(readFileSync(file, 'utf8')).toContain(`"message":"line ${last}"}\n`);
  });
});

describe('log', () => {
  it('masks what it is given to mask', async () => {
    const file = join(temporaryFolder(), 'daemon.jsonl');
    const masker = new Masker();
    masker.add('s3cret-word');
    const log = (await loadLog())({ destination: file, masker, level: 'info', base: { program: 'daemon' } });
    log.log('info', 'it is s3cret-word', {
      url: 'postgresql://u:s3cret-word@h/d',
      list: [{ x: 's3cret-word' }],
    });
    log.log('debug', 'below the level');
    log.close();
    const lines = linesOf(file);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level: 'info',
      program: 'daemon',
      message: 'it is ***',
      list: [{ x: '***' }],
    });
    expect(readFileSync(file, 'utf8')).not.toContain('s3cret-word');
  });
});
