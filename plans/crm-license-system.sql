-- The sample database of crm-license-system.yaml: a CRM licence system as Prisma would migrate it. Quoted mixed-case
-- names, text ids, enum types, jsonb, timestamp(3), unique indexes without constraints, an implicit many-to-many table
-- and _prisma_migrations. All people and companies are made up; the same rows come out on every load.
--
--   createdb crm && psql -X -v ON_ERROR_STOP=1 -d crm -f plans/crm-license-system.sql

BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL TimeZone = 'UTC';

-- Enums. User.status is text with a list of values that only the application (and the plan's checks) know.
CREATE TYPE "UserType" AS ENUM ('HUMAN', 'AI', 'SERVICE');
CREATE TYPE "LicenseType" AS ENUM ('CORE', 'SALES', 'SERVICE', 'ANALYTICS');
CREATE TYPE "UserTenantLicenseStatus" AS ENUM ('active', 'expired', 'suspended');
CREATE TYPE "AlertSeverity" AS ENUM ('INFO', 'WARNING', 'CRITICAL');

CREATE TABLE "Tenant" (
  "id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "slug" TEXT NOT NULL,
  "settings" JSONB NOT NULL DEFAULT '{}',
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  CONSTRAINT "Tenant_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "User" (
  "id" TEXT NOT NULL,
  "tenantId" TEXT NOT NULL,
  "email" TEXT NOT NULL,
  "displayName" TEXT NOT NULL,
  "userType" "UserType" NOT NULL DEFAULT 'HUMAN',
  "status" TEXT NOT NULL DEFAULT 'pending',
  "preferences" JSONB,
  "lastLoginAt" TIMESTAMP(3),
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  CONSTRAINT "User_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "Role" (
  "id" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "description" TEXT,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "Role_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "TenantLicense" (
  "id" TEXT NOT NULL,
  "tenantId" TEXT NOT NULL,
  "licenseType" "LicenseType" NOT NULL,
  "seats" INTEGER NOT NULL,
  "pricePerSeat" DECIMAL(10,2) NOT NULL,
  "startsAt" TIMESTAMP(3) NOT NULL,
  "endsAt" TIMESTAMP(3),
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  CONSTRAINT "TenantLicense_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "UserTenantLicense" (
  "id" TEXT NOT NULL,
  "userId" TEXT NOT NULL,
  "tenantLicenseId" TEXT NOT NULL,
  "roleId" TEXT NOT NULL,
  "status" "UserTenantLicenseStatus" NOT NULL DEFAULT 'active',
  "assignedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "expiresAt" TIMESTAMP(3),
  CONSTRAINT "UserTenantLicense_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "PermissionSet" (
  "id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "permissions" TEXT[],
  CONSTRAINT "PermissionSet_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "RolePermissionSet" (
  "roleId" TEXT NOT NULL,
  "permissionSetId" TEXT NOT NULL,
  "grantedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "RolePermissionSet_pkey" PRIMARY KEY ("roleId", "permissionSetId")
);

CREATE TABLE "UIConfig" (
  "id" TEXT NOT NULL,
  "tenantId" TEXT NOT NULL,
  "config" JSONB NOT NULL,
  "version" INTEGER NOT NULL DEFAULT 1,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  CONSTRAINT "UIConfig_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "Menu" (
  "id" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "label" TEXT NOT NULL,
  CONSTRAINT "Menu_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "MenuItem" (
  "id" TEXT NOT NULL,
  "menuId" TEXT NOT NULL,
  "parentId" TEXT,
  "label" TEXT NOT NULL,
  "path" TEXT NOT NULL,
  "position" INTEGER NOT NULL,
  CONSTRAINT "MenuItem_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "StyleTemplate" (
  "id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "css" TEXT NOT NULL,
  "tokens" JSONB NOT NULL,
  "isDefault" BOOLEAN NOT NULL DEFAULT false,
  CONSTRAINT "StyleTemplate_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "AuditLog" (
  "id" BIGSERIAL NOT NULL,
  "tenantId" TEXT NOT NULL,
  "userId" TEXT,
  "action" TEXT NOT NULL,
  "entity" TEXT NOT NULL,
  "before" JSONB,
  "after" JSONB,
  "timestamp" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "AuditLog_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "SLOMetric" (
  "id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "value" DOUBLE PRECISION NOT NULL,
  "target" DOUBLE PRECISION NOT NULL,
  "timestamp" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "SLOMetric_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "SLOAlert" (
  "id" TEXT NOT NULL,
  "metricId" TEXT NOT NULL,
  "severity" "AlertSeverity" NOT NULL,
  "message" TEXT NOT NULL,
  "resolvedAt" TIMESTAMP(3),
  "timestamp" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "SLOAlert_pkey" PRIMARY KEY ("id")
);

-- Implicit many-to-many between MenuItem and Role.
CREATE TABLE "_MenuItemToRole" ("A" TEXT NOT NULL, "B" TEXT NOT NULL);

CREATE TABLE "_prisma_migrations" (
  "id" VARCHAR(36) PRIMARY KEY NOT NULL,
  "checksum" VARCHAR(64) NOT NULL,
  "finished_at" TIMESTAMPTZ,
  "migration_name" VARCHAR(255) NOT NULL,
  "logs" TEXT,
  "rolled_back_at" TIMESTAMPTZ,
  "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(),
  "applied_steps_count" INTEGER NOT NULL DEFAULT 0
);

-- Ids look like cuids: c and 24 letters or digits, made from what they name.
CREATE FUNCTION pg_temp.cuid(kind text, n bigint) RETURNS text LANGUAGE sql IMMUTABLE
  AS $$ SELECT 'c' || substr(md5(kind || '-' || n), 1, 24) $$;
CREATE FUNCTION pg_temp.at(minutes double precision) RETURNS timestamp(3) LANGUAGE sql IMMUTABLE
  AS $$ SELECT (timestamp '2026-01-05 08:00:00.123' + minutes * interval '1 minute')::timestamp(3) $$;

INSERT INTO "Tenant"
SELECT pg_temp.cuid('tenant', n), 'Tenant ' || n, 'tenant-' || n,
  jsonb_build_object('locale', (ARRAY['en', 'de', 'fr'])[n % 3 + 1], 'trial', n % 7 = 0, 'limits', jsonb_build_object('users', n * 5)),
  pg_temp.at(n), pg_temp.at(n * 1000)
FROM generate_series(1, 40) n;

INSERT INTO "User"
SELECT pg_temp.cuid('user', n), pg_temp.cuid('tenant', n % 40 + 1), 'user' || n || '@example.com', 'User ' || n,
  (CASE WHEN n % 50 = 0 THEN 'AI' WHEN n % 75 = 1 THEN 'SERVICE' ELSE 'HUMAN' END)::"UserType",
  CASE WHEN n % 20 = 0 THEN 'disabled' WHEN n % 33 = 0 THEN 'pending' ELSE 'active' END,
  CASE WHEN n % 4 = 0 THEN NULL ELSE jsonb_build_object('theme', (ARRAY['light', 'dark'])[n % 2 + 1], 'note', 'Zürich ✓ ' || n) END,
  CASE WHEN n % 33 = 0 THEN NULL ELSE pg_temp.at(n * 60) END, pg_temp.at(n), pg_temp.at(n * 61)
FROM generate_series(1, 1200) n;

INSERT INTO "Role"
SELECT pg_temp.cuid('role', n), key, 'Role ' || key, pg_temp.at(n)
FROM unnest(ARRAY['owner', 'admin', 'manager', 'agent', 'viewer', 'auditor']) WITH ORDINALITY AS r(key, n);

INSERT INTO "TenantLicense"
SELECT pg_temp.cuid('license', t * 10 + l), pg_temp.cuid('tenant', t),
  (ARRAY['CORE', 'SALES', 'SERVICE', 'ANALYTICS'])[l]::"LicenseType",
  30 + t, 9.90 + l * 10, pg_temp.at(t * 10), CASE WHEN t % 5 = 0 THEN pg_temp.at(525600) END, pg_temp.at(t), pg_temp.at(t * 20)
FROM generate_series(1, 40) t, generate_series(1, 4) l
WHERE l = 1 OR (t + l) % 3 <> 0;

-- Everyone has the CORE licence of their tenant; some have SALES as well.
INSERT INTO "UserTenantLicense"
SELECT pg_temp.cuid('assignment', n * 10 + l), pg_temp.cuid('user', n), pg_temp.cuid('license', (n % 40 + 1) * 10 + l),
  pg_temp.cuid('role', n % 6 + 1),
  (CASE WHEN n % 17 = 0 THEN 'expired' WHEN n % 29 = 0 THEN 'suspended' ELSE 'active' END)::"UserTenantLicenseStatus",
  pg_temp.at(n * 2), CASE WHEN n % 17 = 0 THEN pg_temp.at(n * 3) END
FROM generate_series(1, 1200) n, generate_series(1, 2) l
WHERE l = 1 OR (n % 3 = 0 AND (n % 40 + 1 + l) % 3 <> 0);

INSERT INTO "PermissionSet"
SELECT pg_temp.cuid('permission', n), 'Permissions ' || n, ARRAY['contact.read', 'contact.write', 'report.' || n]
FROM generate_series(1, 12) n;

INSERT INTO "RolePermissionSet"
SELECT pg_temp.cuid('role', r), pg_temp.cuid('permission', p), pg_temp.at(r * p)
FROM generate_series(1, 6) r, generate_series(1, 12) p WHERE p % r = 0;

INSERT INTO "UIConfig"
SELECT pg_temp.cuid('ui', n), pg_temp.cuid('tenant', n),
  jsonb_build_object('columns', jsonb_build_array('name', 'status', 'owner'), 'density', n % 3, 'accent', '#00' || lpad(to_hex(n), 4, '0')),
  n % 4 + 1, pg_temp.at(n * 5)
FROM generate_series(1, 40) n;

INSERT INTO "Menu" SELECT pg_temp.cuid('menu', n), 'menu-' || n, 'Menu ' || n FROM generate_series(1, 5) n;

INSERT INTO "MenuItem"
SELECT pg_temp.cuid('item', n), pg_temp.cuid('menu', n % 5 + 1), CASE WHEN n > 20 THEN pg_temp.cuid('item', n % 20 + 1) END,
  'Item ' || n, '/m' || n % 5 + 1 || '/i' || n, n
FROM generate_series(1, 60) n;

INSERT INTO "StyleTemplate"
SELECT pg_temp.cuid('style', n), 'Style ' || n, repeat('.card-' || n || E' {\n  padding: ' || n || E'px;\n}\n', 20),
  jsonb_build_object('radius', n, 'font', 'Inter'), n = 1
FROM generate_series(1, 8) n;

INSERT INTO "AuditLog" ("tenantId", "userId", "action", "entity", "before", "after", "timestamp")
SELECT pg_temp.cuid('tenant', n % 40 + 1), CASE WHEN n % 11 <> 0 THEN pg_temp.cuid('user', n % 1200 + 1) END,
  (ARRAY['create', 'update', 'delete', 'login'])[n % 4 + 1], (ARRAY['User', 'TenantLicense', 'Menu'])[n % 3 + 1],
  CASE WHEN n % 4 IN (1, 2) THEN jsonb_build_object('n', n - 1, 'name', 'before ' || n) END,
  CASE WHEN n % 4 IN (0, 1) THEN jsonb_build_object('n', n, 'name', 'after ' || n) END,
  pg_temp.at(n * 7.5)
FROM generate_series(1, 5000) n;

INSERT INTO "SLOMetric"
SELECT pg_temp.cuid('metric', n), (ARRAY['api_latency_p95', 'error_rate', 'uptime'])[n % 3 + 1],
  (n * 37 % 1000) / 7.0, 100, pg_temp.at(n * 5)
FROM generate_series(1, 2000) n;

INSERT INTO "SLOAlert"
SELECT pg_temp.cuid('alert', n), pg_temp.cuid('metric', n * 10), (ARRAY['INFO', 'WARNING', 'CRITICAL'])[n % 3 + 1]::"AlertSeverity",
  'Alert ' || n, CASE WHEN n % 4 <> 0 THEN pg_temp.at(n * 50 + 30) END, pg_temp.at(n * 50)
FROM generate_series(1, 150) n;

INSERT INTO "_MenuItemToRole"
SELECT pg_temp.cuid('item', i), pg_temp.cuid('role', r) FROM generate_series(1, 60) i, generate_series(1, 6) r WHERE (i + r) % 2 = 0;

INSERT INTO "_prisma_migrations"
SELECT md5(name)::uuid::text, encode(sha256(name::bytea), 'hex'),
  CASE WHEN failed THEN NULL ELSE timestamptz '2026-01-05 08:00Z' + n * interval '9 days' END, name, log,
  CASE WHEN failed THEN timestamptz '2026-01-05 07:55Z' + n * interval '9 days' END,
  timestamptz '2026-01-05 07:50Z' + n * interval '9 days', CASE WHEN failed THEN 0 ELSE 1 END
FROM (VALUES
  (1, '20260105075000_init', false, NULL),
  (2, '20260114091500_licenses', false, NULL),
  (3, '20260123104500_menus_and_styles', false, NULL),
  (4, '20260201120000_slo', true, 'Database error: relation "SLOMetric" already exists'),
  (5, '20260201123000_slo', false, NULL),
  (6, '20260210083000_audit_log_index', false, NULL)
) AS m(n, name, failed, log);

-- Indexes as Prisma names them; the two @@unique have map names.
CREATE UNIQUE INDEX "Tenant_slug_key" ON "Tenant" ("slug");
CREATE UNIQUE INDEX "User_email_key" ON "User" ("email");
CREATE INDEX "User_tenantId_idx" ON "User" ("tenantId");
CREATE UNIQUE INDEX "Role_key_key" ON "Role" ("key");
CREATE UNIQUE INDEX "tenantId_licenseType" ON "TenantLicense" ("tenantId", "licenseType");
CREATE UNIQUE INDEX "userId_tenantLicenseId" ON "UserTenantLicense" ("userId", "tenantLicenseId");
CREATE UNIQUE INDEX "UIConfig_tenantId_key" ON "UIConfig" ("tenantId");
CREATE UNIQUE INDEX "Menu_key_key" ON "Menu" ("key");
CREATE INDEX "AuditLog_timestamp_idx" ON "AuditLog" ("timestamp");
CREATE INDEX "SLOMetric_timestamp_idx" ON "SLOMetric" ("timestamp");
CREATE INDEX "SLOAlert_timestamp_idx" ON "SLOAlert" ("timestamp");
CREATE UNIQUE INDEX "_MenuItemToRole_AB_unique" ON "_MenuItemToRole" ("A", "B");
CREATE INDEX "_MenuItemToRole_B_index" ON "_MenuItemToRole" ("B");

ALTER TABLE "TenantLicense" ADD CONSTRAINT "TenantLicense_tenantId_fkey"
  FOREIGN KEY ("tenantId") REFERENCES "Tenant" ("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "UserTenantLicense" ADD CONSTRAINT "UserTenantLicense_userId_fkey"
  FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "UserTenantLicense" ADD CONSTRAINT "UserTenantLicense_tenantLicenseId_fkey"
  FOREIGN KEY ("tenantLicenseId") REFERENCES "TenantLicense" ("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "UserTenantLicense" ADD CONSTRAINT "UserTenantLicense_roleId_fkey"
  FOREIGN KEY ("roleId") REFERENCES "Role" ("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "_MenuItemToRole" ADD CONSTRAINT "_MenuItemToRole_A_fkey"
  FOREIGN KEY ("A") REFERENCES "MenuItem" ("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "_MenuItemToRole" ADD CONSTRAINT "_MenuItemToRole_B_fkey"
  FOREIGN KEY ("B") REFERENCES "Role" ("id") ON DELETE CASCADE ON UPDATE CASCADE;

COMMIT;
ANALYZE;
