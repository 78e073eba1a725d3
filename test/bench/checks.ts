/**
 * `npm run bench -- --only checks [--rows 5000000] [--runs 3]`: 40 checks in one `backplan check` against one psql
 * process for each of them, as a shell runbook does it; and what 100 checks of the catalog cost.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkKinds } from '../../src/checks/index.ts';
import { runSuite } from '../../src/checks/suite.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { BIN } from '../helpers/cli.ts';
import { startCluster } from '../helpers/cluster.ts';
import { inTurn, measure, median } from './measure.ts';

const DATABASE = 'checks';

function schema(rows: number): string {
  return `
CREATE TYPE "Status" AS ENUM ('LEAD', 'ACTIVE', 'CHURNED');
CREATE TABLE "Tenant" (id int PRIMARY KEY);
CREATE TABLE "Account" (id int PRIMARY KEY, "tenantId" int NOT NULL);
CREATE TABLE "Contact" (
  id int PRIMARY KEY, "tenantId" int NOT NULL, "accountId" int, email text, kind text, status "Status",
  seats int, price numeric(10, 2), note text, details jsonb, "createdAt" timestamptz, "updatedAt" timestamptz);
INSERT INTO "Tenant" SELECT generate_series(0, 999);
INSERT INTO "Account" SELECT n, n % 1000 FROM generate_series(0, ${Math.max(1000, Math.round(rows / 12))} - 1) n;
INSERT INTO "Contact" SELECT n, n % 1000, n % ${Math.max(1000, Math.round(rows / 12))}, 'user' || n || '@example.com',
  (ARRAY['HUMAN', 'AI', 'SERVICE'])[1 + n % 3], (ARRAY['LEAD', 'ACTIVE', 'CHURNED']::"Status"[])[1 + n % 3],
  1 + n % 500, (n % 9973) / 7.0, 'note ' || n, jsonb_build_object('seats', n % 100, 'plan', 'pro'),
  timestamptz '2026-01-01Z' + n * interval '1 second', timestamptz '2026-01-02Z' + n * interval '1 second'
  FROM generate_series(1, ${rows}) n;
CREATE INDEX ON "Contact" ("accountId");
ALTER TABLE "Contact" ADD FOREIGN KEY ("accountId") REFERENCES "Account" (id);
VACUUM ANALYZE`;
}

interface Pair {
  /** As in a plan. */
  readonly check: Readonly<Record<string, unknown>>;
  /** As in a runbook: prints t. */
  readonly sql: string;
}

/** The same question twice. */
function pairs(rows: number): Pair[] {
  const none = (condition: string, table = '"Contact"') =>
    `SELECT count(*) = 0 FROM ${table} WHERE ${condition}`;
  const table = 'Contact';
  const notNull = [
    'email',
    'kind',
    'status',
    'seats',
    'price',
    'note',
    'details',
    'createdAt',
    'updatedAt',
    'accountId',
  ];
  const ranges: [string, number | string, number | string][] = [
    ['seats', 1, 500],
    ['price', 0, 10000],
    ['id', 1, rows],
    ['tenantId', 0, 999],
    ['createdAt', '2026-01-01', '2100-01-01'],
    ['updatedAt', '2026-01-01', '2100-01-01'],
    ['accountId', 0, rows],
  ];
  const patterns: [string, string][] = [
    ['email', '^[^@]+@example\\.com$'],
    ['note', '^note [0-9]+$'],
    ['kind', '^[A-Z]+$'],
  ];
  const accepted: [string, string[]][] = [
    ['kind', ['HUMAN', 'AI', 'SERVICE']],
    ['status', ['LEAD', 'ACTIVE', 'CHURNED']],
  ];
  const aggregates: [string, number, number][] = [
    ['sum(seats)', 1, 1e15],
    ['avg(price)', 0, 1e6],
    ['max("tenantId")', 0, 999],
    ['count(DISTINCT "tenantId")', 1, 1000],
    ['min(length(note))', 1, 100],
  ];
  const list: Pair[] = [
    ...notNull.map((column) => ({
      check: { notNull: { table, columns: [column] } },
      sql: none(`"${column}" IS NULL`),
    })),
    ...ranges.map(([column, min, max]) => ({
      check: { range: { table, column, min, max } },
      sql: none(`"${column}" < '${min}' OR "${column}" > '${max}'`),
    })),
    ...patterns.map(([column, matches]) => ({
      check: { pattern: { table, column, matches } },
      sql: none(`"${column}" !~ '${matches}'`),
    })),
    ...accepted.map(([column, values]) => ({
      check: { acceptedValues: { table, column, values } },
      sql: none(`"${column}" NOT IN (${values.map((value) => `'${value}'`).join(', ')})`),
    })),
    ...aggregates.map(([value, min, max]) => ({
      check: { aggregate: { table, value, min, max } },
      sql: `SELECT ${value} BETWEEN ${min} AND ${max} FROM "Contact"`,
    })),
    { check: { rowCount: { table, equals: rows } }, sql: `SELECT count(*) = ${rows} FROM "Contact"` },
    { check: { rowCount: { table: 'Tenant', min: 1 } }, sql: 'SELECT count(*) >= 1 FROM "Tenant"' },
    { check: { rowCount: { table: 'Account', min: 1 } }, sql: 'SELECT count(*) >= 1 FROM "Account"' },
    {
      check: { rowCount: { table, max: rows }, where: 'seats > 10' },
      sql: `SELECT count(*) <= ${rows} FROM "Contact" WHERE seats > 10`,
    },
    {
      check: { jsonPath: { table, column: 'details', exists: '$.plan' } },
      sql: none(`NOT details @? '$.plan'`),
    },
    {
      check: { jsonPath: { table, column: 'details', missing: '$.password' } },
      sql: none(`details @? '$.password'`),
    },
    {
      check: { freshness: { table, column: 'createdAt', within: '3650d' } },
      sql: `SELECT max("createdAt") > now() - interval '10 years' FROM "Contact"`,
    },
    {
      check: {
        orphans: { table, columns: ['accountId'], references: { table: 'Account', columns: ['id'] } },
      },
      sql: none(
        '"accountId" IS NOT NULL AND NOT EXISTS (SELECT FROM "Account" p WHERE p.id = c."accountId")',
        '"Contact" c',
      ),
    },
    {
      check: {
        orphans: {
          table: 'Account',
          columns: ['tenantId'],
          references: { table: 'Tenant', columns: ['id'] },
        },
      },
      sql: none('NOT EXISTS (SELECT FROM "Tenant" p WHERE p.id = a."tenantId")', '"Account" a'),
    },
    {
      check: { tables: ['Contact'] },
      sql: `SELECT count(*) = 1 FROM pg_class WHERE relname = 'Contact' AND relkind = 'r'`,
    },
    {
      check: { unique: { table, columns: ['id'] } },
      sql: `SELECT count(*) = 1 FROM pg_index WHERE indrelid = '"Contact"'::regclass AND indisprimary AND indisvalid`,
    },
    {
      check: {
        foreignKey: { table, columns: ['accountId'], references: { table: 'Account', columns: ['id'] } },
      },
      sql: `SELECT count(*) = 1 FROM pg_constraint WHERE conrelid = '"Contact"'::regclass AND contype = 'f' AND convalidated`,
    },
    {
      check: { index: { name: 'Contact_accountId_idx' } },
      sql: `SELECT count(*) = 1 FROM pg_indexes WHERE indexname = 'Contact_accountId_idx'`,
    },
  ];
  return list;
}

/** @param add takes a figure: what, unit, ours, the rival's, the goal */
export async function benchChecks(
  rows: number,
  runs: number,
  add: (figure: string, unit: string, ours: number, rival: number | null, goal: number) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'backplan-bench-'));
  const cluster = startCluster({ parameters: { shared_buffers: '512MB' } });
  try {
    cluster.psql('postgres', `CREATE DATABASE ${DATABASE} TEMPLATE template0`);
    for (const statement of schema(rows).split(';\n')) cluster.psql(DATABASE, statement);
    const list = pairs(rows);
    const plan = join(folder, 'plan.json');
    writeFileSync(
      plan,
      JSON.stringify({
        version: 1,
        name: 'bench',
        databases: { checks: { url: cluster.url(DATABASE) } },
        suites: { all: list.map(({ check }) => check) },
      }),
    );
    const psql = join(cluster.binDirectory, 'psql');
    const shell = async () => {
      let seconds = 0;
      for (const { sql } of list) {
        const result = await measure(psql, ['-XAtqd', cluster.url(DATABASE), '-c', sql]);
        if (result.stdout.trim() !== 't') throw new Error(`${sql} gave ${result.stdout}`);
        seconds += result.seconds;
      }
      return seconds;
    };
    const ours = async () =>
      (await measure(process.execPath, [BIN, 'check', plan, 'all', '--state', join(folder, 'state')]))
        .seconds;
    const times = await inTurn(runs, { ours, shell });
    add(
      `checks: ${list.length} on ${rows} rows / one psql each`,
      's',
      median(times.ours),
      median(times.shell),
      0.25,
    );
    const tables = Array.from(
      { length: 50 },
      (_, n) => `CREATE TABLE "T ${n}" (id int PRIMARY KEY, "a b" int UNIQUE)`,
    );
    cluster.psql(DATABASE, tables.join(';'));
    const names = tables.map((_, n) => `"T ${n}"`);
    const definitions = [
      { kind: 'tables', with: names },
      ...names.map((name) => ({ kind: 'unique', with: { table: name, columns: ['a b'] } })),
    ];
    const once = async () => {
      const started = performance.now();
      const report = await runSuite({
        connection: parseConnection(cluster.url(DATABASE)),
        definitions,
        kinds: new Map(checkKinds.map((kind) => [kind.kind, kind])),
        signal: new AbortController().signal,
      });
      if (report.summary !== '100/100 checks passed') throw new Error(report.summary);
      return performance.now() - started;
    };
    const catalog = await inTurn(Math.max(3, runs), { once });
    add('checks: 100 of the catalog, connections included', 'ms', median(catalog.once), null, 300);
  } finally {
    cluster.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}
