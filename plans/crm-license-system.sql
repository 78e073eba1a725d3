-- Sample database for plans/crm-license-system.yaml: a multi-tenant licence system as Prisma would make it.
-- Deterministic: the same rows every time. Fictitious data only.
BEGIN;

CREATE TYPE "UserType" AS ENUM ('HUMAN', 'AI', 'SERVICE');
CREATE TYPE "SLOSeverity" AS ENUM ('INFO', 'WARNING', 'CRITICAL');

CREATE TABLE "_prisma_migrations" (
  id varchar(36) PRIMARY KEY,
  checksum varchar(64) NOT NULL,
  finished_at timestamptz,
  migration_name varchar(255) NOT NULL,
  logs text,
  rolled_back_at timestamptz,
  started_at timestamptz NOT NULL DEFAULT now(),
  applied_steps_count integer NOT NULL DEFAULT 0
);

CREATE TABLE "Tenant" (
  id text PRIMARY KEY,
  name text NOT NULL,
  slug text NOT NULL,
  settings jsonb NOT NULL DEFAULT '{}',
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" timestamp(3) NOT NULL
);
CREATE TABLE "User" (
  id text PRIMARY KEY,
  email text NOT NULL,
  "displayName" text,
  "userType" "UserType" NOT NULL DEFAULT 'HUMAN',
  status text NOT NULL DEFAULT 'pending',
  preferences jsonb,
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" timestamp(3) NOT NULL
);
CREATE TABLE "Role" (
  id text PRIMARY KEY,
  name text NOT NULL,
  permissions text[] NOT NULL DEFAULT '{}'
);
CREATE TABLE "TenantLicense" (
  id text PRIMARY KEY,
  "tenantId" text NOT NULL,
  "licenseType" text NOT NULL,
  seats integer NOT NULL,
  price numeric(10, 2),
  "validUntil" timestamp(3)
);
CREATE TABLE "UserTenantLicense" (
  id text PRIMARY KEY,
  "userId" text NOT NULL,
  "tenantLicenseId" text NOT NULL,
  "roleId" text NOT NULL,
  status text NOT NULL DEFAULT 'active',
  "assignedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE "PermissionSet" (id text PRIMARY KEY, name text NOT NULL, rules jsonb NOT NULL);
CREATE TABLE "RolePermissionSet" ("roleId" text NOT NULL, "permissionSetId" text NOT NULL, PRIMARY KEY ("roleId", "permissionSetId"));
CREATE TABLE "UIConfig" (id text PRIMARY KEY, "tenantId" text, config jsonb NOT NULL, version integer NOT NULL DEFAULT 1);
CREATE TABLE "Menu" (id text PRIMARY KEY, title text NOT NULL, position integer NOT NULL);
CREATE TABLE "MenuItem" (id text PRIMARY KEY, "menuId" text NOT NULL, "parentId" text, label text NOT NULL, href text);
CREATE TABLE "StyleTemplate" (id text PRIMARY KEY, name text NOT NULL, css text NOT NULL);
CREATE TABLE "AuditLog" (
  id bigserial PRIMARY KEY,
  "tenantId" text,
  "userId" text,
  action text NOT NULL,
  details jsonb,
  timestamp timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE "SLOMetric" (
  id bigserial PRIMARY KEY,
  name text NOT NULL,
  value double precision NOT NULL,
  timestamp timestamp(3) NOT NULL
);
CREATE TABLE "SLOAlert" (
  id bigserial PRIMARY KEY,
  "metricName" text NOT NULL,
  severity "SLOSeverity" NOT NULL,
  message text NOT NULL,
  timestamp timestamp(3) NOT NULL
);
CREATE TABLE "_TenantToUser" ("A" text NOT NULL, "B" text NOT NULL);

INSERT INTO "_prisma_migrations" (id, checksum, finished_at, migration_name, started_at, applied_steps_count)
SELECT md5('migration ' || g)::uuid, encode(sha256(convert_to(name, 'UTF8')), 'hex'),
       timestamptz '2025-01-01 10:00Z' + g * interval '30 days', name, timestamptz '2025-01-01 09:59Z' + g * interval '30 days', 1
  FROM unnest(ARRAY['20250131000000_init', '20250302000000_licences', '20250401000000_slo']) WITH ORDINALITY AS m(name, g);
INSERT INTO "Tenant"
SELECT 'tenant' || lpad(g::text, 4, '0'), 'Tenant ' || g, 'tenant-' || g,
       jsonb_build_object('locale', (ARRAY['de', 'en', 'fr'])[1 + g % 3], 'features', jsonb_build_array('crm', 'slo'), 'note', E'line one\nline two\t✓'),
       timestamp '2025-01-01' + g * interval '1 hour', timestamp '2025-06-01' + g * interval '1 hour'
  FROM generate_series(1, 50) g;
INSERT INTO "User"
SELECT 'user' || lpad(g::text, 6, '0'), 'user' || g || '@example.com', CASE WHEN g % 7 <> 0 THEN 'User ' || g END,
       (ARRAY['HUMAN', 'AI', 'SERVICE'])[1 + g % 3]::"UserType", (ARRAY['active', 'disabled', 'pending'])[1 + g % 3],
       CASE WHEN g % 5 = 0 THEN NULL ELSE jsonb_build_object('theme', CASE g % 2 WHEN 0 THEN 'dark' ELSE 'light' END, 'score', g / 10.0) END,
       timestamp '2025-01-02' + g * interval '10 minutes', timestamp '2025-06-02' + g * interval '10 minutes'
  FROM generate_series(1, 2000) g;
INSERT INTO "Role" VALUES
  ('role-admin', 'Administrator', '{read,write,grant}'), ('role-editor', 'Editor', '{read,write}'), ('role-viewer', 'Viewer', '{read}');
INSERT INTO "TenantLicense"
SELECT 'lic' || lpad((t * 10 + n)::text, 5, '0'), 'tenant' || lpad(t::text, 4, '0'), type, 5 + (t * n) % 50, (t * n * 19.99)::numeric(10, 2),
       CASE WHEN t % 4 <> 0 THEN timestamp '2027-12-31' END
  FROM generate_series(1, 50) t, unnest(ARRAY['BASIC', 'PRO', 'ENTERPRISE']) WITH ORDINALITY AS l(type, n);
INSERT INTO "UserTenantLicense"
SELECT 'utl' || lpad(g::text, 6, '0'), 'user' || lpad(g::text, 6, '0'), 'lic' || lpad(((1 + g % 50) * 10 + 1 + g % 3)::text, 5, '0'),
       (ARRAY['role-admin', 'role-editor', 'role-viewer'])[1 + g % 3], (ARRAY['active', 'expired', 'suspended'])[1 + g % 3],
       timestamp '2025-02-01' + g * interval '7 minutes'
  FROM generate_series(1, 2000) g;
INSERT INTO "PermissionSet" SELECT 'ps-' || g, 'Permission set ' || g, jsonb_build_object('allow', jsonb_build_array('read'), 'level', g) FROM generate_series(1, 5) g;
INSERT INTO "RolePermissionSet" SELECT r.id, p.id FROM "Role" r, "PermissionSet" p WHERE r.id = 'role-admin' OR p.id IN ('ps-1', 'ps-2');
INSERT INTO "UIConfig" SELECT 'ui-' || g, 'tenant' || lpad(g::text, 4, '0'), jsonb_build_object('columns', g % 4, 'title', 'Übersicht "' || g || '"'), 1 FROM generate_series(1, 50) g;
INSERT INTO "Menu" SELECT 'menu-' || g, 'Menu ' || g, g FROM generate_series(1, 4) g;
INSERT INTO "MenuItem" SELECT 'item-' || g, 'menu-' || (1 + g % 4), CASE WHEN g > 4 THEN 'item-' || (1 + g % 4) END, 'Item ' || g, '/page/' || g FROM generate_series(1, 24) g;
INSERT INTO "StyleTemplate" VALUES ('style-1', 'Plain', E'body {\n\tcolor: black;\n}'), ('style-2', 'Emoji 🎨', 'a::before { content: "\2192"; }');
INSERT INTO "AuditLog" ("tenantId", "userId", action, details, timestamp)
SELECT 'tenant' || lpad((1 + g % 50)::text, 4, '0'), 'user' || lpad((1 + g % 2000)::text, 6, '0'), (ARRAY['login', 'update', 'grant', 'export'])[1 + g % 4],
       jsonb_build_object('ip', '192.0.2.' || g % 255, 'before', jsonb_build_object('seats', g % 50), 'after', jsonb_build_object('seats', g % 49)),
       timestamp '2025-03-01' + g * interval '3 minutes'
  FROM generate_series(1, 6000) g;
INSERT INTO "SLOMetric" (name, value, timestamp) SELECT 'latency.p' || 50 + g % 50, (g % 1000) / 7.0, timestamp '2025-03-01' + g * interval '5 minutes' FROM generate_series(1, 3000) g;
INSERT INTO "SLOAlert" ("metricName", severity, message, timestamp)
SELECT 'latency.p99', (ARRAY['INFO', 'WARNING', 'CRITICAL'])[1 + g % 3]::"SLOSeverity", 'latency above target for ' || g || ' min', timestamp '2025-03-01' + g * interval '1 day'
  FROM generate_series(1, 100) g;
INSERT INTO "_TenantToUser" SELECT 'tenant' || lpad((1 + g % 50)::text, 4, '0'), 'user' || lpad(g::text, 6, '0') FROM generate_series(1, 2000) g;

-- Prisma makes unique indexes, not constraints, for @@unique.
CREATE UNIQUE INDEX "User_email_key" ON "User" (email);
CREATE UNIQUE INDEX "Tenant_slug_key" ON "Tenant" (slug);
CREATE UNIQUE INDEX "tenantId_licenseType" ON "TenantLicense" ("tenantId", "licenseType");
CREATE UNIQUE INDEX "userId_tenantLicenseId" ON "UserTenantLicense" ("userId", "tenantLicenseId");
CREATE UNIQUE INDEX "_TenantToUser_AB_unique" ON "_TenantToUser" ("A", "B");
CREATE INDEX "_TenantToUser_B_index" ON "_TenantToUser" ("B");
CREATE INDEX "AuditLog_timestamp_idx" ON "AuditLog" (timestamp);
CREATE INDEX "SLOMetric_timestamp_idx" ON "SLOMetric" (timestamp);
CREATE INDEX "SLOAlert_timestamp_idx" ON "SLOAlert" (timestamp);

ALTER TABLE "UserTenantLicense" ADD CONSTRAINT "UserTenantLicense_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" (id) ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "UserTenantLicense" ADD CONSTRAINT "UserTenantLicense_tenantLicenseId_fkey" FOREIGN KEY ("tenantLicenseId") REFERENCES "TenantLicense" (id) ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "UserTenantLicense" ADD CONSTRAINT "UserTenantLicense_roleId_fkey" FOREIGN KEY ("roleId") REFERENCES "Role" (id) ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "TenantLicense" ADD CONSTRAINT "TenantLicense_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "Tenant" (id) ON DELETE RESTRICT ON UPDATE CASCADE;

COMMIT;
