/** The sample database loads, is the same every time, and passes every check of its plan; damage does not. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../src/app.ts';
import { checkKinds } from '../../src/checks/index.ts';
import { runSuite } from '../../src/checks/suite.ts';
import type { Plan } from '../../src/plan/model.ts';
import { withClient } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { takeFingerprint } from '../../src/postgres/fingerprint.ts';
import { createDatabase, FILE_COPY, sharedUrl, sql, uniqueName } from '../helpers/database.ts';

const PLANS = join(import.meta.dirname, '..', '..', 'plans');
const sample = readFileSync(join(PLANS, 'crm-license-system.sql'), 'utf8');
const kinds = new Map(checkKinds.map((kind) => [kind.kind, kind]));

let plan: Plan;
beforeAll(async () => {
  ({ plan } = await createApp().loadPlan(join(PLANS, 'crm-license-system.yaml')));
});

const database = createDatabase('crm', sample);

function run(name: string, suites: readonly string[]) {
  return runSuite({
    connection: parseConnection(sharedUrl(name)),
    definitions: suites.flatMap((suite) => plan.suites[suite]?.checks ?? []),
    kinds,
    signal: new AbortController().signal,
  });
}

describe('the sample CRM database', () => {
  it('passes every check of the plan', async () => {
    const report = await run(database, ['crm-consistency', 'crm-deep']);
    expect(report.results.filter(({ status }) => status !== 'passed')).toEqual([]);
    expect(report.summary).toBe('40/40 checks passed');
  });

  it('has the checks that the CRM system asks for', async () => {
    const { results } = await run(database, ['crm-consistency']);
    const count = (kind: string) => results.filter((result) => result.kind === kind).length;
    expect({
      tables: count('tables'),
      unique: count('unique'),
      foreignKey: count('foreignKey'),
      index: count('index'),
      acceptedValues: count('acceptedValues'),
    }).toEqual({ tables: 14, unique: 2, foreignKey: 4, index: 3, acceptedValues: 3 });
  });

  it('is the same on every load', async () => {
    const take = (name: string) =>
      withClient(parseConnection(sharedUrl(name)), {}, async (client) => {
        await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
        return await takeFingerprint(client, 'content');
      });
    const fingerprint = await take(database);
    expect(await take(createDatabase('crm', sample))).toEqual(fingerprint);
    const rows = fingerprint.tables.reduce((sum, table) => sum + table.rows, 0);
    expect(rows).toBeGreaterThan(5000);
    expect(fingerprint.tables.every((table) => table.rows > 0)).toBe(true);
  });
});

/** What someone could do to it by mistake, and the check that must notice. */
describe('damage is noticed', () => {
  it.each([
    ['DROP TABLE "StyleTemplate"', 'table StyleTemplate', 'failed'],
    ['DROP INDEX "tenantId_licenseType"', 'unique TenantLicense (tenantId, licenseType)', 'failed'],
    [
      'ALTER TABLE "UserTenantLicense" DROP CONSTRAINT "UserTenantLicense_roleId_fkey"',
      'foreignKey UserTenantLicense (roleId) → Role (id)',
      'failed',
    ],
    [
      'ALTER TABLE "UserTenantLicense" DISABLE TRIGGER ALL; DELETE FROM "UserTenantLicense" WHERE id < \'c2\'',
      'foreignKey UserTenantLicense (userId) → User (id)',
      'failed',
    ],
    ['DROP INDEX "AuditLog_timestamp_idx"', 'index AuditLog_timestamp_idx', 'failed'],
    [`UPDATE "User" SET status = 'Active' WHERE id < 'c1'`, 'acceptedValues User.status', 'failed'],
    [
      `ALTER TYPE "UserType" ADD VALUE 'ROBOT'; COMMIT; BEGIN; UPDATE "User" SET "userType" = 'ROBOT' WHERE id < 'c1'`,
      'acceptedValues User.userType',
      'failed',
    ],
    ['TRUNCATE "User" CASCADE', 'rows of User ≥ 1', 'failed'],
    [
      `UPDATE "_prisma_migrations" SET finished_at = NULL WHERE migration_name LIKE '%init'`,
      'every migration is finished or rolled back',
      'failed',
    ],
    [
      `DELETE FROM "Tenant" WHERE slug = 'nobody'; UPDATE "User" SET "tenantId" = 'gone' WHERE id < 'c1'`,
      'orphans User (tenantId) → Tenant (id)',
      'failed',
    ],
    [
      `UPDATE "User" SET "tenantId" = (SELECT max(id) FROM "Tenant") WHERE id < 'c1'`,
      'nobody uses a licence of another tenant',
      'failed',
    ],
    ['UPDATE "TenantLicense" SET seats = 1', 'no licence has more users than seats', 'warned'],
  ])('%s', async (damage, name, status) => {
    // Dropped together with the database whose name it begins with.
    const damaged = uniqueName(database);
    sql('postgres', `CREATE DATABASE "${damaged}" TEMPLATE "${database}" ${FILE_COPY}`);
    sql(damaged, `BEGIN; ${damage}; COMMIT;`);
    const { results, verdict } = await run(damaged, ['crm-consistency', 'crm-deep']);
    expect(results.filter((result) => result.status === status).map((result) => result.name)).toContain(name);
    expect(verdict).toBe(status === 'failed' ? 'rejected' : 'verifiedWithWarnings');
  });
});
