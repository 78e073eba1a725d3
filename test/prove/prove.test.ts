/** Every check of the CRM plan goes red when the copy is broken; a check that cannot fail is told. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli } from '../helpers/cli.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';

const PLANS = join(import.meta.dirname, '..', '..', 'plans');
const folder = temporaryFolder();
const database = createDatabase('prove', readFileSync(join(PLANS, 'crm-license-system.sql'), 'utf8'));
const small = createDatabase(
  'prove',
  'CREATE TABLE "Role" (id int PRIMARY KEY, name text); CREATE INDEX "Role idx" ON "Role" (name); INSERT INTO "Role" SELECT n, n FROM generate_series(1, 5) n',
);
const env = {
  DATABASE_URL: sharedUrl(database),
  SMALL_URL: sharedUrl(small),
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

const WEAK = `version: 1
name: weak
databases:
  crm: { url: "\${SMALL_URL}" }
repositories:
  local: { path: "\${BACKUP_DIR}" }
suites:
  weak:
    - sql: { name: cannot fail, query: 'select 1 from "Role" where id is null and id is not null' }
    - sql: { name: can fail, query: 'select 1 from "Role" where id is null' }
    - checksums: { severity: warn }
jobs:
  nightly:
    steps:
      dump: { uses: backup, with: { database: crm, repository: local } }
`;

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

  it('tells the check that cannot fail, on the newest backup', async () => {
    const plan = join(folder, 'weak.yaml');
    writeFileSync(plan, WEAK);
    expect((await cli(['backup', plan], { env, timeoutMs: 100_000 })).code).toBe(0);
    const { code, results, text } = await prove([plan]);
    expect(text).toContain('"uses":"restore"');
    expect(results).toMatchObject([
      { name: 'cannot fail', outcome: 'stayedGreen' },
      { name: 'can fail', outcome: 'proved' },
      { name: 'page checksums', outcome: expect.stringMatching(/noMutation|notTried/) },
    ]);
    expect(code).toBe(3);
    // What could not be broken is not proven.
    const rest = await prove([plan, '--skip', 'cannot fail']);
    expect(rest.text).toContain('"CHECKS_NOT_TRIED"');
    expect(rest.code).toBe(5);
    expect((await prove([plan, '--only', 'can fail'])).code).toBe(0);
  });

  it('tells by check --compare that it broke after the backup', async () => {
    sql(small, 'DROP INDEX "Role idx"');
    const plan = join(folder, 'compare.yaml');
    writeFileSync(
      plan,
      WEAK.replace('    - checksums: { severity: warn }', '    - index: { name: Role idx, table: Role }'),
    );
    const { code, stdout } = await cli(['check', plan, '--compare'], { env, timeoutMs: 100_000 });
    expect(stdout).toMatch(/^index Role idx +failed +passed +in production, after the backup$/m);
    expect(stdout).toMatch(/^can fail +passed +passed$/m);
    expect(stdout).toMatch(/^compareFingerprint/m);
    expect(code).toBe(3);
  });
});
