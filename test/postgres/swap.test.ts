import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, connect, literal } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { derivedName, formatMarker, parseMarker } from '../../src/postgres/marker.ts';
import { type SwapOptions, swapDatabases } from '../../src/postgres/swap.ts';
import { startCluster, type TestCluster } from '../helpers/cluster.ts';
import { rounds } from '../helpers/rounds.ts';

const ROUNDS = rounds(5);

let cluster: TestCluster;

beforeAll(() => {
  cluster = startCluster();
});
afterAll(() => cluster.remove());

let counter = 0;

/** A production database with the value `old`, a replacement with the value `new`. */
function pair(): { production: string; replacement: string; previous: string } {
  counter += 1;
  const production = `My "Shop" ${counter}`;
  const replacement = `${production} staging`;
  for (const [name, value] of [
    [production, 'old'],
    [replacement, 'new'],
  ] as const) {
    cluster.psql('postgres', `CREATE DATABASE "${name.replaceAll('"', '""')}"`);
    cluster.psql(name, `CREATE TABLE t (v text); INSERT INTO t VALUES ('${value}')`);
  }
  return { production, replacement, previous: derivedName(production, '_previous_1') };
}

function options(names: ReturnType<typeof pair>, more: Partial<SwapOptions> = {}): SwapOptions {
  return {
    server: parseConnection(cluster.url('postgres')),
    applicationName: 'swap test',
    production: names.production,
    replacement: names.replacement,
    previous: {
      name: names.previous,
      marker: {
        previousOf: names.production,
        run: 'r1',
        at: '2026-01-01T00:00:00Z',
        keepUntil: '2026-01-02T00:00:00Z',
      },
    },
    timeoutMs: 20_000,
    signal: new AbortController().signal,
    log: () => {},
    ...more,
  };
}

const value = (database: string) => cluster.psql(database, 'SELECT v FROM t LIMIT 1');
const names = () => cluster.psql('postgres', 'SELECT datname FROM pg_database').split('\n');
const comment = (database: string) =>
  cluster.psql(
    'postgres',
    `SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = ${literal(database)}`,
  );

describe('swap', () => {
  it('gives the replacement the name, keeps the old one with a mark, carries the comment over', async () => {
    const set = pair();
    cluster.psql(
      'postgres',
      `COMMENT ON DATABASE "${set.production.replaceAll('"', '""')}" IS 'the shop''s own'`,
    );
    const result = await swapDatabases(options(set));
    expect(result.previous).toBe(set.previous);
    expect(value(set.production)).toBe('new');
    expect(value(set.previous)).toBe('old');
    expect(comment(set.production)).toBe("the shop's own");
    expect(parseMarker(comment(set.previous))).toMatchObject({
      previousOf: set.production,
      comment: "the shop's own",
    });
    expect(names()).not.toContain(set.replacement);
  });

  it('takes the name when there is no production any more', async () => {
    const set = pair();
    cluster.psql('postgres', `DROP DATABASE "${set.production.replaceAll('"', '""')}"`);
    const result = await swapDatabases(options(set, { comment: 'from the backup' }));
    expect(result.previous).toBeUndefined();
    expect(value(set.production)).toBe('new');
    expect(comment(set.production)).toBe('from the backup');
  });

  it('ends sessions on both sides and loses no committed row silently while a client reconnects and writes', async () => {
    const set = pair();
    const committed: { database: string; v: string }[] = [];
    let writing = true;
    let refused = 0;
    const writer = async (id: number) => {
      for (let n = 0; writing; n += 1) {
        try {
          await using client = await connect(parseConnection(cluster.url(set.production)));
          for (; writing; n += 1) {
            const v = `w${id}-${n}`;
            const rows = await client.query<{ oid: string }>(
              `WITH i AS (INSERT INTO t VALUES ('${v}')) SELECT oid::text FROM pg_database WHERE datname = current_database()`,
            );
            committed.push({ database: rows[0]?.oid ?? '', v });
          }
        } catch {
          refused += 1;
        }
      }
    };
    const writers = [1, 2, 3, 4].map(writer);
    await sleep(200);
    const { ended } = await swapDatabases(options(set));
    await sleep(300);
    writing = false;
    await Promise.all(writers);
    expect(ended).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
    // Every acknowledged row is in the database that acknowledged it: the old one, kept, or the new one.
    for (const database of [set.previous, set.production]) {
      const oid = cluster.psql(
        'postgres',
        `SELECT oid FROM pg_database WHERE datname = ${literal(database)}`,
      );
      const stored = new Set(cluster.psql(database, 'SELECT v FROM t').split('\n'));
      const expected = committed.filter((row) => row.database === oid);
      expect(expected.length).toBeGreaterThan(0);
      expect(expected.filter(({ v }) => !stored.has(v))).toEqual([]);
    }
  });

  it('does not keep production locked when its own host vanishes without closing the connection', async () => {
    const set = pair();
    let limit = '';
    const carryOver = async (client: Client) => {
      const row = await client.first<{ limit: string }>(
        "SELECT current_setting('idle_in_transaction_session_timeout') AS limit",
      );
      limit = row?.limit ?? '';
    };
    await swapDatabases(options(set, { carryOver }));
    expect(limit).toBe('10s');
  });

  it('rolls everything back when carrying settings over fails', async () => {
    const set = pair();
    const carryOver = async () => {
      throw new Error('settings could not be carried over');
    };
    await expect(swapDatabases(options(set, { carryOver }))).rejects.toThrow('carried over');
    expect(value(set.production)).toBe('old');
    expect(value(set.replacement)).toBe('new');
    expect(names()).not.toContain(set.previous);
  });

  it('refuses prepared transactions and logical slots before anyone is thrown out', async () => {
    const set = pair();
    cluster.psql(set.production, "BEGIN; INSERT INTO t VALUES ('x'); PREPARE TRANSACTION 'stuck'");
    await expect(swapDatabases(options(set))).rejects.toMatchObject({ code: 'PROMOTE_REFUSED' });
    cluster.psql(set.production, "ROLLBACK PREPARED 'stuck'");
    cluster.psql(set.production, "SELECT pg_create_logical_replication_slot('sub', 'pgoutput')");
    await expect(swapDatabases(options(set))).rejects.toMatchObject({
      code: 'PROMOTE_REFUSED',
      message: expect.stringContaining('sub'),
    });
    cluster.psql('postgres', "SELECT pg_drop_replication_slot('sub')");
    expect(value(set.production)).toBe('old');
  });

  it('refuses a subscription whose worker happens not to run: it would stay with the old database', async () => {
    const set = pair();
    cluster.psql(
      set.production,
      "CREATE SUBSCRIPTION feed CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false)",
    );
    await expect(swapDatabases(options(set))).rejects.toMatchObject({
      code: 'PROMOTE_REFUSED',
      message: expect.stringContaining('feed'),
    });
    expect(value(set.production)).toBe('old');
  });

  it('refuses a replacement that lets nobody in', async () => {
    const set = pair();
    const change = (sets: string) =>
      cluster.psql('postgres', `UPDATE pg_database SET ${sets} WHERE datname = ${literal(set.replacement)}`);
    for (const closed of ['datallowconn = false', 'datallowconn = true, datconnlimit = -2']) {
      change(closed);
      await expect(swapDatabases(options(set))).rejects.toMatchObject({
        code: 'PROMOTE_REFUSED',
        message: expect.stringContaining('accepts no connections'),
      });
    }
    expect(value(set.production)).toBe('old');
  });

  it('hands the template flag on, so that the previous one can be dropped one day', async () => {
    const set = pair();
    cluster.psql('postgres', `ALTER DATABASE "${set.production.replaceAll('"', '""')}" IS_TEMPLATE true`);
    await swapDatabases(options(set));
    const templates = cluster.psql('postgres', 'SELECT datname FROM pg_database WHERE datistemplate');
    expect(templates.split('\n')).toContain(set.production);
    expect(templates.split('\n')).not.toContain(set.previous);
    cluster.psql('postgres', `ALTER DATABASE "${set.production.replaceAll('"', '""')}" IS_TEMPLATE false`);
  });

  it('does not hand on a mark that a renamed database still carries', async () => {
    const set = pair();
    const stale = formatMarker({ previousOf: 'x', run: 'r', at: '', keepUntil: '', comment: 'mine' });
    cluster.psql(
      'postgres',
      `COMMENT ON DATABASE "${set.production.replaceAll('"', '""')}" IS ${literal(stale)}`,
    );
    await swapDatabases(options(set));
    expect(comment(set.production)).toBe('mine');
    expect(parseMarker(comment(set.previous))).toMatchObject({ name: set.previous, comment: 'mine' });
  });

  it('tells the truth when it is cancelled while it commits', async () => {
    const set = pair();
    const controller = new AbortController();
    // A commit that takes its time: it waits for a standby that is not there.
    cluster.psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    cluster.psql('postgres', 'ALTER ROLE postgres SET synchronous_commit = on');
    cluster.psql('postgres', 'SELECT pg_reload_conf()');
    try {
      const swapping = swapDatabases(options(set, { signal: controller.signal }));
      const committing = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
      for (let n = 0; n < 200 && cluster.psql('postgres', committing) === '0'; n += 1) await sleep(25);
      controller.abort(new Error('enough'));
      const { previous } = await swapping;
      expect(previous).toBe(set.previous);
      expect(value(set.production)).toBe('new');
    } finally {
      cluster.psql(
        'postgres',
        'SET synchronous_commit = local; ALTER ROLE postgres RESET synchronous_commit',
      );
      cluster.psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names');
      cluster.psql('postgres', 'SELECT pg_reload_conf()');
    }
  });

  it('says at once whose sessions an owner who may only create databases may not end', async () => {
    const set = pair();
    cluster.psql('postgres', 'CREATE ROLE plain LOGIN CREATEDB');
    for (const name of [set.production, set.replacement]) {
      cluster.psql('postgres', `ALTER DATABASE "${name.replaceAll('"', '""')}" OWNER TO plain`);
    }
    await using _session = await connect(parseConnection(cluster.url(set.production)));
    const started = performance.now();
    const server = parseConnection(cluster.url('postgres', 'plain'));
    await expect(swapDatabases(options(set, { server }))).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
      hint: expect.stringContaining('pg_signal_backend'),
    });
    // One try of the server's five seconds, not the whole time limit.
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(value(set.production)).toBe('old');
  });

  it('says so when the replacement does not exist, and when another swap is under way', async () => {
    const set = pair();
    await expect(swapDatabases(options({ ...set, replacement: 'nowhere' }))).rejects.toMatchObject({
      code: 'DATABASE_MISSING',
    });
    await using holder = await connect(parseConnection(cluster.url('postgres')));
    await holder.query("SELECT pg_advisory_lock(hashtextextended('backplan:swap:' || $1, 0))", [
      set.production,
    ]);
    await expect(swapDatabases(options(set))).rejects.toMatchObject({ code: 'LOCKED' });
  });

  it('leaves production open and as it was when its process is killed at any moment', {
    timeout: 180_000,
  }, async () => {
    const set = pair();
    const program = `
      import { swapDatabases } from ${JSON.stringify(join(import.meta.dirname, '../../src/postgres/swap.ts'))};
      import { parseConnection } from ${JSON.stringify(join(import.meta.dirname, '../../src/postgres/connection.ts'))};
      const options = JSON.parse(process.argv[1]);
      process.stdout.write('go');
      await swapDatabases({ ...options, server: parseConnection(options.url), signal: new AbortController().signal, log: () => {} });
      process.stdout.write('done');
    `;
    const outcomes = { done: 0, killed: 0 };
    let { production, replacement, previous } = set;
    for (let round = 0; round < ROUNDS; round += 1) {
      const next = derivedName(production, `_kill_${round}`);
      const {
        signal: _signal,
        log: _log,
        server: _server,
        ...plain
      } = options({ production, replacement, previous: next });
      const child = spawn(
        process.execPath,
        ['--input-type=module', '-e', program, JSON.stringify({ ...plain, url: cluster.url('postgres') })],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      await once(child.stdout, 'data');
      await sleep((round * 80) / ROUNDS);
      child.kill('SIGKILL');
      await once(child, 'close');
      // The server notices the broken connection; then exactly one of the two states is there, and it is open.
      const swapped = await settled(production, replacement, next);
      if (swapped) {
        outcomes.done += 1;
        replacement = next;
      } else outcomes.killed += 1;
      expect(['old', 'new']).toContain(value(production));
      if (output.includes('done')) expect(swapped).toBe(true);
      previous = next;
    }
    expect(previous).not.toBe('');
    expect(outcomes.done + outcomes.killed).toBe(ROUNDS);
    expect(outcomes.killed).toBeGreaterThan(0);
  });
});

/** Waits until no swap is under way any more and tells whether it happened. */
async function settled(production: string, replacement: string, next: string): Promise<boolean> {
  while (
    cluster.psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'swap test'") !==
    '0'
  )
    await sleep(20);
  const present = names();
  expect(present).toContain(production);
  const swapped = present.includes(next);
  expect(present.includes(replacement)).toBe(!swapped);
  return swapped;
}

describe('marks and names', () => {
  it('reads back what it wrote and nothing else', () => {
    const marker = { stagingFor: 'crm', run: 'r', backup: 'b', comment: `it's "x"\n` };
    expect(parseMarker(formatMarker(marker))).toEqual(marker);
    for (const other of [
      null,
      undefined,
      '',
      'hello',
      'backplan:',
      'backplan:[]',
      'backplan:{"run":"r"}',
      'backplan:{"stagingFor":1,"run":"r"}',
    ]) {
      expect(parseMarker(other)).toBeUndefined();
    }
  });

  it('keeps derived names within 63 bytes and their end whole', () => {
    const name = derivedName('ä'.repeat(60), '_previous_20261124T052358Z');
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
    expect(name.endsWith('_previous_20261124T052358Z')).toBe(true);
  });
});
