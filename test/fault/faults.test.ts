/** Things go wrong; afterwards nothing false was reported, nothing was lost and nothing is left. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { makeWorld, type World } from '../cli/world.ts';
import { startCluster, type TestCluster } from '../helpers/cluster.ts';
import { sql, uniqueName } from '../helpers/database.ts';
import { rounds } from '../helpers/rounds.ts';
import { noSmallDisk, smallDisk } from '../storage/tmpfs.ts';

const MORE_ROWS = `
  CREATE TABLE bulk (id int PRIMARY KEY, body text);
  INSERT INTO bulk SELECT n, md5(n::text) || repeat(md5((n * 7)::text), 8) FROM generate_series(1, 40000) n;
`;

/** Instants at which something is killed: BACKPLAN_FAULT_ROUNDS=50 for a thorough run, fewer by default. */
const ROUNDS = rounds(1);

interface Listed {
  readonly backups: readonly { readonly id: string }[];
}

/** Processes of the stock tools that belong to this world's database. */
function toolsOf(world: World): string[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' });
  const marked = stdout
    .split('\n')
    .filter((line) => /pg_dump|pg_restore|postgres -D .*backplan-sandbox/.test(line));
  return marked.filter((line) => {
    try {
      return readFileSync(`/proc/${line.trim().split(' ')[0]}/environ`, 'utf8').includes(world.database);
    } catch {
      return false;
    }
  });
}

async function listed(world: World): Promise<readonly string[]> {
  const result = await world.run(['backups', 'PLAN', '--output', 'json']);
  expect(result.code, result.stdout + result.stderr).toBe(0);
  return (JSON.parse(result.stdout) as Listed).backups.map(({ id }) => id);
}

/** What every fault must leave: only whole backups, no staging database, no process, no hidden folder, production as it was. */
async function expectClean(world: World, production: string): Promise<void> {
  for (const id of await listed(world)) {
    const verified = await world.run(['verify', 'PLAN', id]);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  }
  expect(
    sql('postgres', `SELECT count(*) FROM pg_database WHERE datname LIKE '${world.database}_staging%'`),
  ).toBe('0');
  expect(toolsOf(world)).toEqual([]);
  const folder = join(world.env.BACKUPS ?? '', 'crm');
  const hidden = existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('.')) : [];
  expect(hidden).toEqual([]);
  expect(fingerprintOf(world)).toBe(production);
}

function fingerprintOf(world: World): string {
  return world.sql(
    `SELECT (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM "User" t) || (SELECT count(*) FROM bulk) || (SELECT datallowconn FROM pg_database WHERE datname = current_database())`,
  );
}

describe('kill -9 of the runner', () => {
  it(
    'at random instants of the nightly job',
    async () => {
      const world = makeWorld();
      world.sql(MORE_ROWS);
      const before = fingerprintOf(world);
      let finished = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        const run = world.start(['run', 'PLAN', 'nightly']);
        await sleep(150 + Math.random() * 2500);
        run.child.kill('SIGKILL');
        const { code } = await run.result;
        if (code === 0) finished += 1;
      }
      // The next start, whatever it is, puts things in order; then a whole run works.
      const next = await world.run(['runs', 'PLAN', '--output', 'json']);
      expect(next.code).toBe(0);
      expect(next.stdout).not.toContain('"running"');
      await world.run(['backup', 'PLAN']);
      await expectClean(world, before);
      // Retention of the nightly job keeps five; a run that ended well was published.
      expect((await listed(world)).length).toBeGreaterThanOrEqual(1 + Math.min(1, finished));
      expect((await world.run(['run', 'PLAN', 'nightly'])).code).toBe(0);
    },
    120_000 + ROUNDS * 20_000,
  );

  it(
    'at random instants of the restore job: production is whole, before or after, never between',
    async () => {
      const world = makeWorld();
      world.sql(MORE_ROWS);
      expect((await world.run(['run', 'PLAN', 'nightly'])).code).toBe(0);
      const before = fingerprintOf(world);
      for (let round = 0; round < ROUNDS; round += 1) {
        const run = world.start(['run', 'PLAN', 'restore', '--yes']);
        await sleep(300 + Math.random() * 2500);
        run.child.kill('SIGKILL');
        await run.result;
        // Sessions of the killed process end in their own time; production answers all the same.
        expect(fingerprintOf(world)).toBe(before);
      }
      await world.run(['runs', 'PLAN']);
      await world.run(['backup', 'PLAN']);
      await expectClean(world, before);
    },
    120_000 + ROUNDS * 20_000,
  );
});

describe('kill -9 of pg_dump', () => {
  it(
    'at random instants never publishes',
    async () => {
      const world = makeWorld();
      world.sql(
        `${MORE_ROWS} INSERT INTO bulk SELECT id + 100000, body FROM bulk; INSERT INTO bulk SELECT id + 1000000, body FROM bulk`,
      );
      const before = fingerprintOf(world);
      let killed = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        const run = world.start(['backup', 'PLAN']);
        let hit = false;
        for (let turn = 0; turn < 400 && run.child.exitCode === null && !hit; turn += 1) {
          const [line] = toolsOf(world).filter((each) => each.includes('pg_dump'));
          if (line !== undefined) {
            await sleep(Math.random() * 60);
            hit = spawnSync('kill', ['-9', line.trim().split(' ')[0] ?? '']).status === 0;
          } else await sleep(10);
        }
        const { code, stdout, stderr } = await run.result;
        if (code !== 0) {
          killed += 1;
          expect(stdout + stderr).toMatch(/DUMP_FAILED|killed/);
        }
      }
      expect(killed).toBeGreaterThan(0);
      expect((await listed(world)).length).toBe(ROUNDS - killed);
      await expectClean(world, before);
    },
    120_000 + ROUNDS * 20_000,
  );
});

describe('damage in the repository', () => {
  it(
    'truncated and flipped archives are never restored as if they were whole',
    async () => {
      const world = makeWorld();
      world.sql(MORE_ROWS);
      const before = fingerprintOf(world);
      expect((await world.run(['backup', 'PLAN'])).code).toBe(0);
      const [id = ''] = await listed(world);
      const folder = join(world.env.BACKUPS ?? '', 'crm', id);
      const archive = join(folder, readdirSync(folder).find((name) => name.startsWith('archive')) ?? '');
      const whole = readFileSync(archive);
      const { size } = statSync(archive);
      for (let round = 0; round < 1 + ROUNDS; round += 1) {
        const damaged = Buffer.from(whole);
        const at = Math.floor(Math.random() * size);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << (round % 8));
        writeFileSync(archive, damaged);
        if (round % 2 === 1) truncateSync(archive, Math.floor(size * Math.random()));
        const copy = uniqueName(`${world.database}_copy`);
        const restored = await world.run(['restore', 'PLAN', id, '--into', copy]);
        expect(restored.code, restored.stdout + restored.stderr).not.toBe(0);
        expect(restored.stdout + restored.stderr).toMatch(/BACKUP_CORRUPT|BACKUP_NOT_FOUND|damaged|broken/);
        expect((await world.run(['verify', 'PLAN', id])).code).not.toBe(0);
        expect(sql('postgres', `SELECT count(*) FROM pg_database WHERE datname = '${copy}'`)).toBe('0');
      }
      writeFileSync(archive, whole);
      expect((await world.run(['verify', 'PLAN', id])).code).toBe(0);
      await expectClean(world, before);
    },
    120_000 + ROUNDS * 20_000,
  );

  it.skipIf(noSmallDisk !== undefined)(
    'a full disk fails the backup, says so, and keeps what was there',
    async () => {
      const world = makeWorld();
      const disk = smallDisk('2m');
      try {
        const env = { BACKUPS: join(disk.path, 'repository') };
        mkdirSync(env.BACKUPS);
        const first = await world.run(['backup', 'PLAN'], { env });
        expect(first.code, first.stdout + first.stderr).toBe(0);
        world.sql(MORE_ROWS);
        world.sql(
          `INSERT INTO bulk SELECT id + 100000, md5(random()::text) || md5(random()::text) || md5(random()::text) FROM bulk`,
        );
        const full = await world.run(['backup', 'PLAN'], { env });
        expect(full.code).not.toBe(0);
        expect(full.stdout + full.stderr).toMatch(/DISK_FULL|DISK_SPACE/);
        const after = JSON.parse(
          (await world.run(['backups', 'PLAN', '--output', 'json'], { env })).stdout,
        ) as Listed;
        expect(after.backups.length).toBe(1);
        expect((await world.run(['verify', 'PLAN'], { env })).code).toBe(0);
        expect(readdirSync(join(env.BACKUPS, 'crm')).filter((name) => name.startsWith('.'))).toEqual([]);
      } finally {
        disk.remove();
      }
    },
    120_000,
  );

  it.skipIf(noSmallDisk !== undefined)(
    'a read-only repository can be restored from, not written to',
    async () => {
      const world = makeWorld();
      world.sql(MORE_ROWS);
      const disk = smallDisk('20m');
      try {
        const env = { BACKUPS: join(disk.path, 'repository') };
        mkdirSync(env.BACKUPS);
        expect((await world.run(['backup', 'PLAN'], { env })).code).toBe(0);
        disk.remount('ro');
        const refused = await world.run(['backup', 'PLAN'], { env });
        expect(refused.code).not.toBe(0);
        expect(refused.stdout + refused.stderr).toMatch(/read-only|PERMISSION_DENIED|REPOSITORY_UNUSABLE/i);
        const copy = uniqueName(`${world.database}_copy`);
        const restored = await world.run(['restore', 'PLAN', 'latest', '--into', copy], { env });
        expect(restored.code, restored.stdout + restored.stderr).toBe(0);
        expect(sql(copy, 'SELECT count(*) FROM bulk')).toBe('40000');
        disk.remount('rw');
      } finally {
        disk.remove();
      }
    },
    120_000,
  );
});

describe('two runs at once', () => {
  it('on one database: the second ends with exit code 4 and says who holds it', async () => {
    const world = makeWorld();
    world.sql(
      `${MORE_ROWS} INSERT INTO bulk SELECT id + 100000, body FROM bulk; INSERT INTO bulk SELECT id + 1000000, body FROM bulk`,
    );
    const both = await Promise.all([
      world.run(['run', 'PLAN', 'nightly']),
      world.run(['run', 'PLAN', 'nightly']),
    ]);
    const codes = both.map(({ code }) => code).sort();
    expect(codes, both.map(({ stdout, stderr }) => stdout + stderr).join('\n')).toEqual([0, 4]);
    const second = both.find(({ code }) => code === 4);
    expect((second?.stdout ?? '') + (second?.stderr ?? '')).toMatch(/LOCKED.*process \d+/s);
  }, 120_000);
});

describe('the server and the machine', () => {
  let cluster: TestCluster;
  const password = 'pa%ss w0rd/é';
  beforeAll(() => {
    cluster = startCluster({
      hba: 'local all postgres trust\nlocal all all scram-sha-256\n',
      parameters: { password_encryption: 'scram-sha-256' },
    });
    cluster.psql('postgres', `CREATE ROLE app LOGIN CREATEDB PASSWORD '${password}'`);
    cluster.psql('postgres', 'CREATE DATABASE crm OWNER app');
    cluster.psql(
      'crm',
      `SET ROLE app; CREATE SCHEMA app; ${MORE_ROWS.replaceAll('bulk', 'app.bulk')} CREATE TABLE app."Tenant" (id int PRIMARY KEY); INSERT INTO app."Tenant" VALUES (1)`,
    );
  });
  afterAll(() => cluster.remove());
  const url = (secret: string) => cluster.url('crm', `app:${encodeURIComponent(secret)}`);

  it('a wrong password is told as such, and no password is ever shown or stored', async () => {
    const world = makeWorld();
    const wrong = await world.run(['backup', 'PLAN'], { env: { CRM_URL: url('not-the-password') } });
    expect(wrong.code).toBe(1);
    expect(wrong.stdout + wrong.stderr).toMatch(/password authentication failed/);
    const right = await world.run(['backup', 'PLAN', '--verbose'], { env: { CRM_URL: url(password) } });
    expect(right.code, right.stdout + right.stderr).toBe(0);
    for (const secret of [password, encodeURIComponent(password), 'not-the-password']) {
      expect(right.stdout + right.stderr + wrong.stdout + wrong.stderr).not.toContain(secret);
      const found = spawnSync('grep', ['-rlF', secret, world.folder], { encoding: 'utf8' }).stdout;
      expect(found).toBe('');
    }
  });

  it('a server that stops in the middle fails the run and publishes nothing', async () => {
    const world = makeWorld();
    cluster.psql(
      'crm',
      `INSERT INTO app.bulk SELECT id + 100000, body FROM app.bulk; INSERT INTO app.bulk SELECT id + 1000000, body FROM app.bulk`,
    );
    const run = world.start(['backup', 'PLAN'], { env: { CRM_URL: url(password) } });
    for (let turn = 0; turn < 500; turn += 1) {
      if (
        cluster.psql(
          'postgres',
          "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND query LIKE 'COPY%bulk%'",
        ) !== '0'
      )
        break;
      await sleep(10);
    }
    cluster.stop('immediate');
    const { code, stdout, stderr } = await run.result;
    cluster.start();
    expect(code, stdout + stderr).toBe(1);
    const after = JSON.parse((await world.run(['backups', 'PLAN', '--output', 'json'])).stdout) as Listed;
    expect(after.backups).toEqual([]);
  });

  it.skipIf(spawnSync('unshare', ['-m', 'true']).status !== 0)(
    'missing tools are named, with what to install',
    async () => {
      const world = makeWorld();
      const empty = join(world.folder, 'bin');
      mkdirSync(empty);
      symlinkSync(process.execPath, join(empty, 'node'));
      chmodSync(empty, 0o755);
      // In a mount namespace of its own, the folder with PostgreSQL's binaries is empty.
      const bin = join(inject('cluster').binDirectory, '..', '..');
      const script = `mount -t tmpfs none ${bin} && exec "$0" "$@"`;
      const result = spawnSync(
        'unshare',
        [
          '-m',
          'sh',
          '-c',
          script,
          process.execPath,
          join(import.meta.dirname, '../../bin/backplan.js'),
          'backup',
          world.plan,
        ],
        {
          encoding: 'utf8',
          env: { ...world.env, PATH: `${empty}:/usr/sbin:/bin`, HOME: world.folder, NO_COLOR: '1' },
        },
      );
      if (
        execFileSync('sh', ['-c', 'PATH=/usr/sbin:/bin command -v pg_dump || true'], {
          encoding: 'utf8',
        }).trim() !== ''
      ) {
        // Debian's wrapper is still there; it has nothing to wrap.
        expect(result.status).not.toBe(0);
        return;
      }
      expect(result.status, result.stdout + result.stderr).toBe(6);
      expect(result.stdout + result.stderr).toMatch(/TOOL_MISSING.*postgresql-client/s);
    },
  );
});
