/** The CRM sample of the quickstart, as Prisma would migrate it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDatabase } from '../../helpers/database.ts';
import { byPrint, bySuite, type Subject } from './damage.ts';

const SAMPLE = join(import.meta.dirname, '..', '..', '..', 'plans', 'crm-license-system.sql');

export const crm: Subject = {
  name: 'crm',
  create: () => createDatabase('mutcrm', readFileSync(SAMPLE, 'utf8')),
  damages: [
    ...byPrint({
      'a row deleted': 'DELETE FROM "AuditLog" WHERE id = 17',
      'a byte of a text': `UPDATE "StyleTemplate" SET css = overlay(css PLACING 'X' FROM 7 FOR 1) WHERE "isDefault"`,
      'a number in jsonb': `UPDATE "AuditLog" SET after = jsonb_set(after, '{n}', '0') WHERE id = 4`,
      'two values swapped between rows': `UPDATE "UIConfig" a SET config = b.config FROM "UIConfig" b
        WHERE (a.version, b.version) IN ((1, 2), (2, 1)) AND a.id IN (SELECT min(id) FROM "UIConfig" WHERE version IN (1, 2) GROUP BY version)
          AND b.id IN (SELECT min(id) FROM "UIConfig" WHERE version IN (1, 2) GROUP BY version)`,
      'NULL instead of a text': `UPDATE "_prisma_migrations" SET logs = NULL WHERE logs IS NOT NULL`,
      'an empty text instead of NULL': `UPDATE "_prisma_migrations" SET logs = '' WHERE migration_name LIKE '%_init'`,
      'a timestamp shifted by a millisecond': `UPDATE "SLOMetric" SET "timestamp" = "timestamp" + interval '1 ms' WHERE name = 'uptime' AND value < 2`,
      'all timestamps shifted by an hour': `UPDATE "SLOAlert" SET "timestamp" = "timestamp" + interval '1 hour'`,
      'the last digit of a double': `UPDATE "SLOMetric" SET value = value + 1e-13 WHERE id = (SELECT min(id) FROM "SLOMetric" WHERE value BETWEEN 1 AND 50)`,
      'elements of an array in another order': `UPDATE "PermissionSet" SET permissions = ARRAY[permissions[2], permissions[1], permissions[3]] WHERE name = 'Permissions 3'`,
      'another enum value in one row': `UPDATE "User" SET "userType" = 'AI' WHERE email = 'user7@example.com'`,
      'a price with another scale of the same value': `ALTER TABLE "TenantLicense" ALTER "pricePerSeat" TYPE numeric(12,3)`,
      'letters in another case': `UPDATE "User" SET email = upper(email) WHERE email = 'user8@example.com'`,
      'a blank at the end': `UPDATE "Menu" SET label = label || ' ' WHERE id = (SELECT min(id) FROM "Menu")`,
      'a default changed': `ALTER TABLE "User" ALTER status SET DEFAULT 'active'`,
      'a default dropped': `ALTER TABLE "Tenant" ALTER settings DROP DEFAULT`,
      'a column added': `ALTER TABLE "Role" ADD note text`,
      'a table added': 'CREATE TABLE "Left over" (id int)',
      'another action on delete':
        'ALTER TABLE "TenantLicense" DROP CONSTRAINT "TenantLicense_tenantId_fkey", ADD CONSTRAINT "TenantLicense_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "Tenant" (id) ON DELETE CASCADE ON UPDATE CASCADE',
      'a sequence that hands out its last value again': 'ALTER SEQUENCE "AuditLog_id_seq" RESTART WITH 5000',
      'a primary key put on other rows': `UPDATE "Role" SET id = id || 'x' WHERE key = 'owner'`,
    }),
    ...bySuite({
      'a parent deleted': `DELETE FROM "Role" WHERE key = 'viewer'`,
      'a table emptied': 'TRUNCATE "Tenant" CASCADE',
      'a table dropped': 'DROP TABLE "UIConfig"',
      'a column dropped': 'ALTER TABLE "User" DROP "displayName"',
      'a column renamed': 'ALTER TABLE "Menu" RENAME label TO caption',
      'a type widened': 'ALTER TABLE "_prisma_migrations" ALTER checksum TYPE varchar(65)',
      'NOT NULL dropped': 'ALTER TABLE "User" ALTER email DROP NOT NULL',
      'an enum label added': `ALTER TYPE "UserType" ADD VALUE 'BOT'`,
      'an enum label renamed': `ALTER TYPE "AlertSeverity" RENAME VALUE 'INFO' TO 'NOTE'`,
      'a unique index dropped': 'DROP INDEX "Role_key_key"',
      'an index dropped': 'DROP INDEX "AuditLog_timestamp_idx"',
      'an index on other columns':
        'DROP INDEX "User_tenantId_idx"; CREATE INDEX "User_tenantId_idx" ON "User" (status)',
      'an index invalid': `UPDATE pg_index SET indisvalid = false WHERE indexrelid = '"SLOMetric_timestamp_idx"'::regclass`,
      'a unique index that is none any more':
        'DROP INDEX "Menu_key_key"; CREATE INDEX "Menu_key_key" ON "Menu" (key)',
      'a primary key dropped': 'ALTER TABLE "SLOAlert" DROP CONSTRAINT "SLOAlert_pkey"',
      'a foreign key dropped': 'ALTER TABLE "_MenuItemToRole" DROP CONSTRAINT "_MenuItemToRole_A_fkey"',
      'a foreign key NOT VALID':
        'ALTER TABLE "UserTenantLicense" DROP CONSTRAINT "UserTenantLicense_userId_fkey"; ALTER TABLE "UserTenantLicense" ADD CONSTRAINT "UserTenantLicense_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" (id) ON DELETE RESTRICT ON UPDATE CASCADE NOT VALID',
      'a foreign key that is not enforced': 'ALTER TABLE "UserTenantLicense" DISABLE TRIGGER ALL',
      'a sequence set back': 'ALTER SEQUENCE "AuditLog_id_seq" RESTART WITH 10',
      'a sequence dropped': 'DROP SEQUENCE "AuditLog_id_seq" CASCADE',
    }),
  ],
};
