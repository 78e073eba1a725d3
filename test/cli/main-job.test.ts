/** The main job as a user runs it: the ready plans, and whole round trips of the hard database. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { cli } from '../helpers/cli.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder, uniqueName } from '../helpers/database.ts';
import { dumpText } from '../helpers/dump-text.ts';
import { createHardDatabase } from '../helpers/hard-schema.ts';
import { makeWorld } from './world.ts';

const PLANS = join(import.meta.dirname, '..', '..', 'plans');

describe('plans/crm-license-system.yaml', () => {
  const plan = join(PLANS, 'crm-license-system.yaml');
  const folder = temporaryFolder();
  let database = '';
  let env: Record<string, string> = {};
  const run = (...args: string[]) => cli(args, { env, timeoutMs: 110_000 });
  const rows = (table: string) => Number(sql(database, `SELECT count(*) FROM "${table}"`));

  beforeAll(() => {
    database = createDatabase('crm', readFileSync(join(PLANS, 'crm-license-system.sql'), 'utf8'));
    env = {
      DATABASE_URL: sharedUrl(database),
      BACKUP_DIR: join(folder, 'backups'),
      BACKPLAN_STATE: join(folder, 'state'),
    };
  });

  it('proves a backup at night, and restores production when rows and a constraint are gone', async () => {
    const before = dumpText(sharedUrl(database));
    const nightly = await run('run', plan, 'nightly');
    expect(nightly.stdout + nightly.stderr).toContain('verdict verified');
    expect(nightly.code).toBe(0);

    sql(
      database,
      `CREATE TEMP TABLE gone AS SELECT id FROM "User" ORDER BY id LIMIT 200;
       DELETE FROM "UserTenantLicense" WHERE "userId" IN (SELECT id FROM gone);
       DELETE FROM "User" WHERE id IN (SELECT id FROM gone);
       DROP INDEX "tenantId_licenseType"`,
    );
    expect((await run('check', plan, 'crm-consistency')).code).toBe(3);

    const restore = await run('run', plan, 'restore', '--yes');
    expect(restore.stdout + restore.stderr).toContain('promote');
    expect(restore.code).toBe(0);
    expect(dumpText(sharedUrl(database))).toBe(before);
    expect((await run('check', plan, 'crm-consistency')).code).toBe(0);
  }, 120_000);

  it('runs its weekly and rebuilding jobs, and gives back a part', async () => {
    const weekly = await run('run', plan, 'weekly');
    expect(weekly.code, weekly.stdout + weekly.stderr).toBe(0);
    const copy = `${database}_licences`;
    const licences = 'Tenant,User,Role,TenantLicense,UserTenantLicense';
    const partial = await run('restore', plan, 'latest', '--into', copy, '--tables', licences);
    expect(partial.code, partial.stdout + partial.stderr).toBe(0);
    expect(Number(sql(copy, 'SELECT count(*) FROM "UserTenantLicense"'))).toBe(rows('UserTenantLicense'));
    expect(sql(copy, `SELECT to_regclass('"AuditLog"') IS NULL`)).toBe('t');
    const rebuild = await run('run', plan, 'rebuild-constraints', '--yes');
    expect(rebuild.code, rebuild.stdout + rebuild.stderr).toBe(0);
    expect(
      sql(
        database,
        `SELECT count(*) FROM pg_index WHERE indexrelid = '"tenantId_licenseType"'::regclass AND indisvalid`,
      ),
    ).toBe('1');
  }, 180_000);

  it('backs up with plans/minimal.yaml, and the archive is a plain pg_dump archive inside zstd', async () => {
    const minimal = join(PLANS, 'minimal.yaml');
    const result = await run('run', minimal, 'backup', '--output', 'json');
    expect(result.code, result.stdout + result.stderr).toBe(0);
    const listed = JSON.parse((await run('backups', minimal, '--output', 'json')).stdout);
    expect(JSON.stringify(listed)).toContain('main-');
  });
});

describe('round trips of the hard database', () => {
  it('equal the source byte by byte, through the command line, from both formats', async () => {
    const source = createHardDatabase();
    const world = makeWorld();
    const env = { CRM_URL: sharedUrl(source) };
    const expected = dumpText(sharedUrl(source));
    const jobs = {
      custom: '{ uses: backup, with: { database: crm, repository: local, fingerprint: content } }',
      directory: '{ uses: backup, with: { database: crm, repository: local, format: directory, jobs: 2 } }',
    };
    for (const [format, step] of Object.entries(jobs)) {
      const copy = uniqueName(`${source}_${format}`);
      const file = join(world.folder, `${format}.yaml`);
      const { writeFileSync } = await import('node:fs');
      writeFileSync(
        file,
        readFileSync(world.plan, 'utf8').replace(/jobs:[\s\S]*/, '') +
          `jobs:\n  trip:\n    steps:\n      dump: ${step}\n      restore: { uses: restore, needs: [dump], with: { backup: "\${{ steps.dump.outputs.backup }}", into: { database: "${copy}", on: crm } } }\n`,
      );
      const result = await world.run(['run', file, 'trip'], { env, timeoutMs: 110_000 });
      expect(result.code, result.stdout + result.stderr).toBe(0);
      expect(dumpText(sharedUrl(copy))).toBe(expected);
    }
  }, 240_000);
});

describe('promotion under live traffic', () => {
  it('loses no committed row silently, and rolls back', async () => {
    const world = makeWorld();
    world.sql('CREATE TABLE traffic (n bigint PRIMARY KEY, at timestamptz DEFAULT now())');
    expect((await world.run(['run', 'PLAN', 'nightly'])).code).toBe(0);
    // A client that reconnects for every row and prints the database that acknowledged it.
    const psql = join(inject('cluster').binDirectory, 'psql');
    const script = `n=0; while :; do n=$((n+1)); "${psql}" -X -q -A -t -d "$CRM_URL" -c "INSERT INTO traffic VALUES ($n) RETURNING n || ' ' || (SELECT oid FROM pg_database WHERE datname = current_database())" 2>/dev/null; done`;
    const client = spawn('sh', ['-c', script], {
      env: { ...process.env, ...world.env },
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let acknowledged = '';
    client.stdout.setEncoding('utf8').on('data', (text: string) => {
      acknowledged += text;
    });
    await once(client.stdout, 'data');
    try {
      const restore = await world.run(['run', 'PLAN', 'restore', '--yes']);
      expect(restore.code, restore.stdout + restore.stderr).toBe(0);
      await once(client.stdout, 'data');
    } finally {
      process.kill(-(client.pid ?? 0), 'SIGKILL');
      await once(client, 'close');
    }
    const previous = sql(
      'postgres',
      `SELECT datname FROM pg_database WHERE datname LIKE '${world.database}_previous_%'`,
    );
    expect(previous).not.toBe('');
    const lines = acknowledged
      .trim()
      .split('\n')
      .filter((line) => /^\d+ \d+$/.test(line));
    for (const database of [previous, world.database]) {
      const oid = sql('postgres', `SELECT oid FROM pg_database WHERE datname = '${database}'`);
      const stored = new Set(sql(database, 'SELECT n FROM traffic').split('\n'));
      const expected = lines.flatMap((line) => (line.endsWith(` ${oid}`) ? [line.split(' ')[0] ?? ''] : []));
      expect(expected.length).toBeGreaterThan(0);
      expect(expected.filter((n) => !stored.has(n))).toEqual([]);
    }
    const back = await world.run(['rollback', 'PLAN', 'crm', '--yes']);
    expect(back.code, back.stdout + back.stderr).toBe(0);
    expect(Number(world.sql('SELECT count(*) FROM traffic'))).toBeGreaterThan(0);
  }, 120_000);
});
