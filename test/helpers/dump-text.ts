/** The text that pg_dump makes of a database: two databases with equal text hold the same, to the byte. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { inject } from 'vitest';

/** Schema and rows in pg_dump's order, without what differs by chance. `url` may name any server. */
export function dumpText(url: string, args: readonly string[] = []): string {
  const text = execFileSync(join(inject('cluster').binDirectory, 'pg_dump'), ['--dbname', url, ...args], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  });
  // Random tokens of newer minor versions.
  return text.replace(/^\\(un)?restrict .*$/gm, '');
}
