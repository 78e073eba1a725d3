/** Every check of the CRM plan goes red when the copy is broken; a check that cannot fail is told. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli } from '../helpers/cli.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';

const PLANS = join(import.meta.dirname, '..', '..', 'plans');
const folder = temporaryFolder();
const database = createDatabase('prove', readFileSync(join(PLANS, 'crm-license-system.sql'), 'utf8'));
const env = {
  DATABASE_URL: sharedUrl(database),
  BACKUP_DIR: join(folder, 'backups'),
  BACKPLAN_STATE: join(folder, 'state'),
};

interface Proof {
  readonly name: string;
  readonly kind: string;
  readonly outcome: string;
  readonly damage?: string;
  readonly message: string;
}

async function prove(args: readonly string[]) {
  const { code, stdout, stderr } = await cli(['prove', ...args, '--output', 'json'], {
    env,
    timeoutMs: 100_000,
  });
  const events = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { report?: { kind: string; results: Proof[] } });
  const report = events.find((event) => event.report?.kind === 'prove')?.report;
  return { code, results: report?.results ?? [], text: stdout + stderr };
}

describe('backplan prove', { timeout: 120_000 }, () => {
  it('proves every check of the CRM suites, and leaves the database alone', async () => {
    const state = () =>
      sql(
        database,
        `SELECT count(*), max(id) FROM "User"; SELECT count(*) FROM pg_class; SELECT max(xmin::text::int8) FROM pg_class`,
      );
    const before = state();
    const { code, results, text } = await prove([join(PLANS, 'crm-license-system.yaml')]);
    expect(
      results.filter(({ outcome }) => outcome !== 'proved'),
      text.slice(-3000),
    ).toEqual([]);
    expect(results.length).toBe(40);
    expect(code).toBe(0);
    expect(state()).toBe(before);
  });
});
