/** The jobs of the sample plan that mend production, on the sample database. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { cli } from '../helpers/cli.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';

const PLANS = join(import.meta.dirname, '..', '..', 'plans');
const plan = join(PLANS, 'crm-license-system.yaml');
const database = createDatabase('crm', readFileSync(join(PLANS, 'crm-license-system.sql'), 'utf8'));
const folder = temporaryFolder();
const call = (...args: string[]) =>
  cli(args, {
    env: {
      DATABASE_URL: sharedUrl(database),
      BACKUP_DIR: join(folder, 'backups'),
      BACKPLAN_STATE: join(folder, 'state'),
    },
    timeoutMs: 200_000,
  });
const rows = () =>
  sql(
    database,
    'SELECT l FROM "TenantLicense" l ORDER BY id; SELECT a FROM "UserTenantLicense" a ORDER BY id',
  );

it('recover-licences brings licences back, with their assignments', async () => {
  const whole = rows();
  expect((await call('backup', plan)).code).toBe(0);
  const licence = sql(database, 'SELECT "tenantLicenseId" FROM "UserTenantLicense" ORDER BY 1 LIMIT 1');
  sql(
    database,
    `DELETE FROM "UserTenantLicense" WHERE "tenantLicenseId" = '${licence}'; DELETE FROM "TenantLicense" WHERE id = '${licence}'`,
  );
  const damaged = rows();
  const job = [
    'run',
    plan,
    'recover-licences',
    '--input',
    'backup=latest',
    '--input',
    `where=id = '${licence}'`,
  ];
  const look = await call(...job);
  expect([look.code, rows() === damaged], look.stdout + look.stderr).toEqual([0, true]);
  const done = await call(...job, '--input', 'apply=true');
  expect(done.code, done.stdout + done.stderr).toBe(0);
  expect(rows()).toBe(whole);
});

it('repair builds what the suite wants', async () => {
  sql(database, 'DROP INDEX "tenantId_licenseType"');
  expect((await call('run', plan, 'repair', '--input', 'apply=true')).code).toBe(0);
  expect((await call('check', plan, 'crm-consistency')).code).toBe(0);
});
