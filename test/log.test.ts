import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadLog } from '../src/log.ts';
import { temporaryFolder } from './helpers/database.ts';

const mounts: string[] = [];
afterAll(() => {
  for (const path of mounts) execFileSync('umount', [path]);
});

describe('a log on a file system that fills up', () => {
  it('says so once, and has whole lines again when there is room', async ({ skip }) => {
    const path = join(temporaryFolder(), 'small');
    mkdirSync(path);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path], { stdio: 'ignore' });
    } catch {
      return skip('needs the right to mount');
    }
    mounts.push(path);
    const problems: string[] = [];
    const file = join(path, 'run.jsonl');
    const log = (await loadLog())({ destination: file, onProblem: (message) => problems.push(message) });
    writeFileSync(join(path, 'ballast'), Buffer.alloc(48_000));
    for (let number = 0; number < 100; number += 1) log.log('info', `early ${number} ${'x'.repeat(500)}`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(file);
    rmSync(join(path, 'ballast'));
    for (let number = 0; number < 5; number += 1) log.log('info', `late ${number}`);
    log.close();
    log.log('info', 'after the end');
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    const broken = lines.filter((line) => {
      try {
        JSON.parse(line);
        return false;
      } catch {
        return true;
      }
    });
    expect(broken.length).toBeLessThanOrEqual(1);
    expect(lines.slice(-5).map((line) => JSON.parse(line).message)).toEqual(
      [0, 1, 2, 3, 4].map((n) => `late ${n}`),
    );
  });
});
