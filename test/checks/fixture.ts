/** Runs single checks on a database with hard names. */

import type { CheckResult } from '../../src/checks/check-kind.ts';
import { checkKinds } from '../../src/checks/index.ts';
import { runSuite } from '../../src/checks/suite.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { sharedUrl } from '../helpers/database.ts';

export const kinds = new Map(checkKinds.map((kind) => [kind.kind, kind]));

/** Runs one entry of a suite and returns its only result. */
export async function check(
  database: string,
  kind: string,
  params: unknown,
  options: { user?: string; shared?: Record<string, unknown> } = {},
): Promise<CheckResult> {
  const report = await runSuite({
    connection: parseConnection(sharedUrl(database, options.user)),
    definitions: [
      { kind, with: params, ...(options.shared === undefined ? {} : { shared: options.shared }) },
    ],
    kinds,
    signal: new AbortController().signal,
  });
  const [result] = report.results;
  if (result === undefined || report.results.length !== 1) throw new Error('expected one result');
  return result;
}

/** Runs checks of one kind together; each as one line: `failed: what was found → what to do`. */
export async function told(
  database: string,
  kind: string,
  all: readonly unknown[],
  user?: string,
  baseDirectory?: string,
): Promise<string[]> {
  const report = await runSuite({
    connection: parseConnection(sharedUrl(database, user)),
    definitions: all.map((params) => ({ kind, with: params })),
    kinds,
    jobs: 1,
    ...(baseDirectory === undefined ? {} : { baseDirectory }),
    signal: new AbortController().signal,
  });
  return report.results.map(
    ({ status, message, hint }) => `${status}: ${message}${hint === undefined ? '' : ` → ${hint}`}`,
  );
}

/** Schemas, tables and columns whose names need quotes, in several schemas; all constraints hold. */
export const HARD_SCHEMA = `
CREATE EXTENSION IF NOT EXISTS citext;
CREATE SCHEMA audit;
CREATE SCHEMA other;
CREATE SCHEMA "odd.schema";

CREATE TYPE "Status" AS ENUM ('active', 'disabled', 'pending');
CREATE DOMAIN "Label" AS text;

CREATE TABLE "Tenant" (id text PRIMARY KEY, "Name" text NOT NULL);
CREATE TABLE "User" (
  id text PRIMARY KEY,
  "tenantId" text NOT NULL REFERENCES "Tenant" (id),
  "eMail" citext NOT NULL,
  status "Status" NOT NULL DEFAULT 'active',
  kind text,
  label "Label",
  level int,
  ratio numeric(6, 2),
  "managerId" text REFERENCES "User" (id)
);
CREATE UNIQUE INDEX "User_tenantId_eMail_key" ON "User" ("tenantId", "eMail");
CREATE INDEX "User_Kind_idx" ON "User" (kind);
INSERT INTO "Tenant" SELECT 't' || n, 'Tenant ' || n FROM generate_series(1, 3) n;
INSERT INTO "User" (id, "tenantId", "eMail", kind, label, level, ratio, "managerId")
  SELECT 'u' || n, 't' || (n % 3 + 1), 'User' || n || '@example.com', 'HUMAN', 'one', n % 3, n % 3,
    CASE WHEN n > 1 THEN 'u' || (n - 1) END
  FROM generate_series(1, 30) n;

CREATE TABLE audit."Log" (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "userId" text REFERENCES "User" (id) ON DELETE SET NULL,
  "at" timestamptz NOT NULL DEFAULT '2026-01-01'
);
CREATE INDEX "Log_at_idx" ON audit."Log" ("at");
INSERT INTO audit."Log" ("userId") SELECT 'u' || n FROM generate_series(1, 30) n;

CREATE TABLE "odd.schema"."Odd ""Table""" (
  "a.b" int, "C d" text, "é" int, note text,
  CONSTRAINT "Odd Key" UNIQUE ("a.b", "C d")
);
INSERT INTO "odd.schema"."Odd ""Table""" SELECT n, 'x' || n, n, 'n' FROM generate_series(1, 5) n;

CREATE TABLE "Empty" (id int PRIMARY KEY, "userId" text, kind text);

CREATE TABLE audit."Twice" (id int);
CREATE TABLE other."Twice" (id int);

CREATE TABLE "Event" (id int NOT NULL, "at" date NOT NULL, "userId" text REFERENCES "User" (id), PRIMARY KEY (id, "at"))
  PARTITION BY RANGE ("at");
CREATE TABLE "Event_2026" PARTITION OF "Event" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "Event_rest" PARTITION OF "Event" DEFAULT;
CREATE INDEX "Event_at_idx" ON "Event" ("at");
INSERT INTO "Event" SELECT n, date '2025-12-30' + n, 'u' || n FROM generate_series(1, 10) n;

CREATE TABLE "Place" ("tenantId" text, code text, PRIMARY KEY ("tenantId", code));
INSERT INTO "Place" SELECT 't1', 'c' || n FROM generate_series(1, 4) n;
CREATE TABLE "Visit" (
  id int PRIMARY KEY, "tenantId" text, code text,
  CONSTRAINT "Visit_place_fkey" FOREIGN KEY ("tenantId", code) REFERENCES "Place" ("tenantId", code)
);
INSERT INTO "Visit" VALUES (1, 't1', 'c1'), (2, 't1', NULL), (3, NULL, NULL), (4, NULL, 'nowhere');

CREATE VIEW "UserView" AS SELECT id, kind, "tenantId" FROM "User";
CREATE MATERIALIZED VIEW "UserCount" AS SELECT count(*) AS n FROM "User";
`;
