/** Data for the benchmark: a licence system whose audit trail (jsonb) makes up most of the size. */
import type { TestCluster } from '../helpers/cluster.ts';

const SCHEMA = `
CREATE TABLE "Tenant" (id int PRIMARY KEY, name text NOT NULL, status text NOT NULL, "createdAt" timestamptz NOT NULL);
CREATE TABLE "User" (id int PRIMARY KEY, "tenantId" int NOT NULL, email text NOT NULL, status text NOT NULL,
  "userType" text NOT NULL, settings jsonb NOT NULL, "createdAt" timestamptz NOT NULL);
CREATE TABLE "TenantLicense" (id int PRIMARY KEY, "tenantId" int NOT NULL, "licenseType" text NOT NULL, seats int NOT NULL);
CREATE TABLE "AuditLog" (id bigint PRIMARY KEY, "tenantId" int NOT NULL, "userId" int NOT NULL, action text NOT NULL,
  timestamp timestamptz NOT NULL, details jsonb NOT NULL);
CREATE TABLE "SLOMetric" (id bigint PRIMARY KEY, "tenantId" int NOT NULL, name text NOT NULL, value numeric(12,4) NOT NULL,
  timestamp timestamptz NOT NULL);
INSERT INTO "Tenant" SELECT g, 'Tenant ' || g, (ARRAY['active','disabled','pending'])[1 + g % 3],
  timestamptz '2025-01-01Z' + g * interval '1 hour' FROM generate_series(1, 1000) g;
INSERT INTO "User" SELECT g, 1 + g % 1000, 'user' || g || '@example.com', (ARRAY['active','disabled','pending'])[1 + g % 3],
  (ARRAY['HUMAN','AI','SERVICE'])[1 + g % 3], jsonb_build_object('theme', g % 5, 'locale', 'en', 'token', md5(g::text)),
  timestamptz '2025-01-01Z' + g * interval '1 minute' FROM generate_series(1, 100000) g;
INSERT INTO "TenantLicense" SELECT g, 1 + g % 1000, 'type ' || (g / 1000), 1 + g % 50 FROM generate_series(0, 19999) g;
`;

// An audit row as a trigger writes it: the record before and after the change, and what asked for it.
const CHUNK = `
INSERT INTO "AuditLog" SELECT g, 1 + g % 1000, 1 + g % 100000, (ARRAY['login','update','delete','grant','export'])[1 + g % 5],
  timestamptz '2025-01-01Z' + g * interval '7 seconds',
  jsonb_build_object('ip', '10.' || g % 255 || '.' || g % 127 || '.' || g % 31, 'agent', 'client/' || g % 17, 'request', gen_random_uuid(), 'session', gen_random_uuid(), 'signature', encode(sha256(g::text::bytea), 'hex'),
    'before', record || jsonb_build_object('status', g % 3, 'seats', g % 50, 'updatedBy', 'user' || g % 100000 || '@example.com'),
    'after', record || jsonb_build_object('status', (g + 1) % 3, 'seats', g % 49, 'updatedBy', 'user' || (g * 7) % 100000 || '@example.com'),
    'note', repeat('row ' || g % 1000 || ' was changed by a job; ', 3))
  FROM generate_series($from::bigint, $to::bigint) g,
  LATERAL (SELECT jsonb_build_object('id', md5(g::text), 'tenant', 'Tenant ' || g % 1000, 'plan', (ARRAY['basic','team','enterprise'])[1 + g % 3],
    'price', (g % 9973) / 7.0, 'features', to_jsonb(ARRAY['export','api','sso','audit']), 'validUntil', timestamptz '2025-01-01Z' + g * interval '13 minutes') AS record) r;
INSERT INTO "SLOMetric" SELECT g, 1 + g % 1000, 'latency.p' || g % 100, (g % 100000) / 7.0,
  timestamptz '2025-01-01Z' + g * interval '11 seconds' FROM generate_series($from::bigint, $to::bigint) g WHERE g % 2 = 0;
`;

const CONSTRAINTS = `
CREATE UNIQUE INDEX "tenantId_licenseType" ON "TenantLicense" ("tenantId", "licenseType");
CREATE UNIQUE INDEX "User_email_key" ON "User" (email);
CREATE INDEX "AuditLog_timestamp_idx" ON "AuditLog" (timestamp);
CREATE INDEX "SLOMetric_timestamp_idx" ON "SLOMetric" (timestamp);
CREATE INDEX "AuditLog_tenantId_idx" ON "AuditLog" ("tenantId");
ALTER TABLE "User" ADD CONSTRAINT "User_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "Tenant" (id);
ALTER TABLE "TenantLicense" ADD CONSTRAINT "TenantLicense_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "Tenant" (id);
ALTER TABLE "AuditLog" ADD CONSTRAINT "AuditLog_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" (id);
`;

/** Fills `database` until it has about `bytes`; the same statements everywhere, so that machines can be compared. */
export function generate(
  cluster: TestCluster,
  database: string,
  bytes: number,
): { rows: number; size: number } {
  cluster.psql('postgres', `CREATE DATABASE ${database} TEMPLATE template0`);
  cluster.psql(database, SCHEMA);
  const size = () => Number(cluster.psql('postgres', `SELECT pg_database_size('${database}')`));
  const chunk = Math.max(5000, Math.min(200_000, Math.round(bytes / 5000)));
  let rows = 0;
  // Indexes add about a sixth; they are built last, as a restore does.
  while (size() < bytes * 0.86) {
    cluster.psql(
      database,
      CHUNK.replaceAll('$from', String(rows)).replaceAll('$to', String(rows + chunk - 1)),
    );
    rows += chunk;
  }
  cluster.psql(database, CONSTRAINTS);
  cluster.psql(database, 'VACUUM ANALYZE; CHECKPOINT');
  return { rows: rows * 1.5 + 121_000, size: size() };
}

/** The 15 checks, for the plan and, as one statement each that prints `t`, for the shell script. */
export const PLAN_CHECKS = `
    - tables: [Tenant, User, TenantLicense, AuditLog, SLOMetric]
    - unique: { table: TenantLicense, columns: [tenantId, licenseType] }
    - unique: { table: User, columns: [email] }
    - foreignKey: { table: User, columns: [tenantId], references: { table: Tenant, columns: [id] } }
    - foreignKey: { table: TenantLicense, columns: [tenantId], references: { table: Tenant, columns: [id] } }
    - foreignKey: { table: AuditLog, columns: [userId], references: { table: User, columns: [id] } }
    - index: { name: AuditLog_timestamp_idx }
    - index: { name: SLOMetric_timestamp_idx }
    - acceptedValues: { table: User, column: status, values: [active, disabled, pending] }
    - acceptedValues: { table: User, column: userType, values: [HUMAN, AI, SERVICE] }
    - rowCount: { table: Tenant, min: 1 }
`;

const table = (name: string) => `SELECT to_regclass('"${name}"') IS NOT NULL`;
const unique = (index: string) =>
  `SELECT indisunique AND indisvalid FROM pg_index WHERE indexrelid = '"${index}"'::regclass`;
const foreignKey = (child: string, column: string, parent: string, name: string) =>
  `SELECT (SELECT convalidated FROM pg_constraint WHERE conname = '${name}') AND NOT EXISTS (SELECT 1 FROM "${child}" c LEFT JOIN "${parent}" p ON p.id = c."${column}" WHERE p.id IS NULL AND c."${column}" IS NOT NULL)`;
const values = (column: string, list: string) =>
  `SELECT count(*) = 0 FROM "User" WHERE "${column}" NOT IN (${list})`;

export const SHELL_CHECKS: readonly string[] = [
  ...['Tenant', 'User', 'TenantLicense', 'AuditLog', 'SLOMetric'].map(table),
  unique('tenantId_licenseType'),
  unique('User_email_key'),
  foreignKey('User', 'tenantId', 'Tenant', 'User_tenantId_fkey'),
  foreignKey('TenantLicense', 'tenantId', 'Tenant', 'TenantLicense_tenantId_fkey'),
  foreignKey('AuditLog', 'userId', 'User', 'AuditLog_userId_fkey'),
  `SELECT indisvalid FROM pg_index WHERE indexrelid = '"AuditLog_timestamp_idx"'::regclass`,
  `SELECT indisvalid FROM pg_index WHERE indexrelid = '"SLOMetric_timestamp_idx"'::regclass`,
  values('status', `'active','disabled','pending'`),
  values('userType', `'HUMAN','AI','SERVICE'`),
  `SELECT count(*) >= 1 FROM "Tenant"`,
];

export const TABLES = ['Tenant', 'User', 'TenantLicense', 'AuditLog', 'SLOMetric'] as const;
