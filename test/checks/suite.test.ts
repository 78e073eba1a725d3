import { spawn } from 'node:child_process';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, inject, it } from 'vitest';
import { type CheckKind, type CheckResult, defineCheck, defineScan } from '../../src/checks/check-kind.ts';
import { checkReportSchema } from '../../src/checks/report-schema.ts';
import { concludeReport, runSuite, type SuiteOptions } from '../../src/checks/suite.ts';
import { BackplanError } from '../../src/errors.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { createDatabase, sharedUrl, sql, uniqueName } from '../helpers/database.ts';
import { HARD_SCHEMA, kinds } from './fixture.ts';

const database = createDatabase('suite', HARD_SCHEMA);

function run(definitions: SuiteOptions['definitions'], options: Partial<SuiteOptions> = {}) {
  return runSuite({
    connection: parseConnection(sharedUrl(database)),
    definitions,
    kinds,
    signal: new AbortController().signal,
    ...options,
  });
}

const passes = { kind: 'sql', with: { query: 'select 1 where false' } };
const fails = { kind: 'sql', with: { query: 'select 1' } };
const errs = { kind: 'sql', with: { query: 'select 1/0' } };
const vacuous = { kind: 'rowCount', with: { table: 'Empty', min: 0 } };
const warn = (definition: { kind: string; with: object }) => ({
  ...definition,
  with: { ...definition.with, severity: 'warn' },
});

describe('verdict and summary', () => {
  it.each([
    [[passes, passes], 'verified', '2/2 checks passed'],
    [[passes], 'verified', '1/1 check passed'],
    [[passes, fails], 'rejected', '1/2 passed, 1 failed'],
    [[passes, errs], 'inconclusive', '1/2 passed, 1 errored'],
    [[passes, errs, fails], 'rejected', '1/3 passed, 1 failed, 1 errored'],
    [[passes, vacuous], 'inconclusive', '1/2 passed, 1 vacuous'],
    [[passes, warn(fails)], 'verifiedWithWarnings', '1/2 passed, 1 warned'],
    [[passes, warn(errs)], 'verifiedWithWarnings', '1/2 passed, 1 errored'],
    [[passes, warn(vacuous)], 'verifiedWithWarnings', '1/2 passed, 1 vacuous'],
    [[warn(errs)], 'inconclusive', '0/1 passed, 1 errored'],
    [[], 'inconclusive', 'no checks: nothing was shown'],
  ])('%#: %s', async (definitions, verdict, summary) => {
    const report = await run(definitions);
    expect(report).toMatchObject({ verdict, summary });
    const { total, ...each } = report.counts;
    expect(Object.values(each).reduce((sum, count) => sum + count, 0)).toBe(total);
  });

  it('is never good when something that matters was not shown', () => {
    const statuses = ['passed', 'warned', 'failed', 'errored', 'skipped', 'vacuous'] as const;
    const result = fc.record({
      name: fc.string(),
      kind: fc.constant('x'),
      message: fc.constant(''),
      durationMs: fc.constant(0),
      severity: fc.constantFrom('error' as const, 'warn' as const),
      status: fc.constantFrom(...statuses),
    });
    fc.assert(
      fc.property(fc.array(result), (results: CheckResult[]) => {
        const { verdict, counts } = concludeReport(results);
        const good = verdict === 'verified' || verdict === 'verifiedWithWarnings';
        const bad = results.some(
          ({ severity, status }) =>
            status === 'failed' || (severity === 'error' && !['passed', 'warned'].includes(status)),
        );
        expect(good && bad).toBe(false);
        if (good) expect(counts.passed + counts.warned).toBeGreaterThan(0);
        if (verdict === 'verified') expect(counts.warned + counts.errored + counts.vacuous).toBe(0);
      }),
    );
  });
});

describe('entries', () => {
  it('expands tables, one check each, in order', async () => {
    const report = await run([{ kind: 'tables', with: ['Tenant', 'Nope', 'audit.Log'] }, passes]);
    expect(report.results.map(({ name, status }) => [name, status])).toEqual([
      ['table Tenant', 'passed'],
      ['table Nope', 'failed'],
      ['table audit.Log', 'passed'],
      ['sql select 1 where false', 'passed'],
    ]);
    expect(report.summary).toBe('3/4 passed, 1 failed');
  });

  it('reads shared keys beside the kind and inside it; a kind’s own name stays its own', async () => {
    const report = await run([
      { kind: 'tables', with: ['Nope'], shared: { severity: 'warn', name: 'optional tables' } },
      {
        kind: 'sql',
        with: { query: 'select generate_series(1, 9)', name: 'nine', severity: 'warn', sample: 2 },
      },
      { kind: 'index', with: { name: 'User_Kind_idx' }, shared: { name: 'kind can be searched' } },
      { kind: 'index', with: { name: 'User_Kind_idx', severity: 'warn', timeout: '10s' } },
    ]);
    expect(report.results.map(({ name, status, severity }) => ({ name, status, severity }))).toEqual([
      { name: 'optional tables', status: 'warned', severity: 'warn' },
      { name: 'nine', status: 'warned', severity: 'warn' },
      { name: 'kind can be searched', status: 'passed', severity: 'error' },
      { name: 'index User_Kind_idx', status: 'passed', severity: 'warn' },
    ]);
    expect(report.results[1]?.samples).toHaveLength(2);
  });

  it('tells equal checks apart by number', async () => {
    const report = await run([passes, passes]);
    expect(report.results[1]?.name).toBe('sql select 1 where false #2');
  });

  it('makes an unknown kind or nonsense errored, not absent', async () => {
    const report = await run([
      passes,
      { kind: 'rowCounts', with: { table: 'User' } },
      { kind: 'tables', with: 7 },
      { kind: 'sql', with: { query: 'select 1', timeout: 'soon' } },
    ]);
    expect(report.results.map(({ status }) => status)).toEqual(['passed', 'errored', 'errored', 'errored']);
    expect(report.results[1]?.error).toContain('there is no check kind "rowCounts"; known are tables, table');
    expect(report.verdict).toBe('inconclusive');
  });

  it('warns where a kind only warns, whatever the severity, and fails nothing', async () => {
    const unwise = defineCheck({
      kind: 'unwise',
      summary: '',
      params: { type: 'object' },
      title: () => 'unwise',
      run: async () => ({ outcome: 'warned', message: 'so so', count: 7 }),
    });
    const own = { kinds: new Map([...kinds, ['unwise', unwise]]) };
    const report = await run(
      [passes, { kind: 'unwise', with: {} }, { kind: 'unwise', with: {}, shared: { severity: 'warn' } }],
      own,
    );
    expect(report).toMatchObject({ verdict: 'verifiedWithWarnings', summary: '1/3 passed, 2 warned' });
  });

  it('tolerates by name', async () => {
    const report = await run([passes, { kind: 'sql', with: { query: 'select 1', name: 'known trouble' } }], {
      tolerate: ['known trouble'],
    });
    expect(report).toMatchObject({ verdict: 'verifiedWithWarnings', summary: '1/2 passed, 1 warned' });
  });
});

describe('checks of one kind in one query', () => {
  const calls: string[] = [];
  const together = defineCheck({
    kind: 'together',
    summary: '',
    params: { type: 'string' },
    title: (text) => `together ${text}`,
    async run(client, text) {
      calls.push(`one ${text}`);
      await client.query(text);
      return { outcome: 'passed', message: 'alone' };
    },
    async runAll(client, all, options) {
      calls.push(`all ${all.length}`);
      await client.query(all.join('; ').includes('1/0') ? 'select 1/0' : 'select 1');
      return all.map((text, index) =>
        text === 'bad'
          ? { outcome: 'failed', message: `sample ${options[index]?.sample}`, count: 2 }
          : { outcome: 'passed', message: text },
      );
    },
  });
  const entry = (text: string, shared = {}) => ({ kind: 'together', with: text, shared });

  it('asks once for all, and keeps order, severity and samples apart', async () => {
    calls.length = 0;
    const report = await run(
      [entry('a'), passes, entry('bad', { severity: 'warn', sample: 3 }), entry('c')],
      {
        kinds: new Map([...kinds, ['together', together]]),
      },
    );
    expect(calls).toEqual(['all 3']);
    expect(report.results.map(({ status, message }) => `${status} ${message}`)).toEqual([
      'passed a',
      'passed the query yields no row',
      'warned sample 3',
      'passed c',
    ]);
  });

  it('asks one by one where that fails, so that one bad check does not sink the rest', async () => {
    calls.length = 0;
    const report = await run([entry('select 1'), entry('select 1/0'), entry('select 2')], {
      kinds: new Map([['together', together]]),
    });
    expect(calls).toEqual(['all 3', 'one select 1', 'one select 1/0', 'one select 2']);
    expect(report.results.map(({ status }) => status)).toEqual(['passed', 'errored', 'passed']);
  });
});

describe('scans', () => {
  const read = defineScan({
    kind: 'read',
    summary: '',
    params: { type: 'string' },
    keys: ['warnAbove', 'failAbove'],
    title: (text) => `read ${text}`,
    scan: async (_client, text) => ({
      from: 'public."User"',
      // The same text in two checks is one column of one statement, and so has one value.
      columns: [
        'pg_catalog.clock_timestamp()',
        `pg_catalog.count(*) FILTER (WHERE ${text})`,
        'pg_catalog.count(*)',
      ],
      async conclude(client, [at, bad, of]) {
        if (text === 'id IS NOT NULL') await client.query('SELECT 1/0');
        return Number(bad) === 0
          ? { outcome: 'passed', message: `${at}` }
          : { outcome: 'failed', message: `${at}`, count: Number(bad), of: Number(of) };
      },
    }),
  });
  const all = new Map([...kinds, ['read', read]]);
  const entry = (text: string, shared = {}) => ({ kind: 'read', with: text, shared });
  const statementsOf = (results: readonly CheckResult[]) =>
    new Set(results.filter(({ error }) => error === undefined).map(({ message }) => message.split(';')[0]))
      .size;

  it('share one statement for all checks over a table', async () => {
    const report = await run([entry('false'), entry('level < 0'), passes, entry('level > 1')], {
      kinds: all,
    });
    expect(report.results.map(({ status }) => status)).toEqual(['passed', 'passed', 'passed', 'failed']);
    expect(statementsOf(report.results.filter(({ kind }) => kind === 'read'))).toBe(1);
  });

  it('are halved until the one is found that cannot be done; its error is its own', async () => {
    const report = await run(
      [
        entry('false'),
        entry('false AND level < 0'),
        entry('1 / 0 = level'),
        entry('level < 0'),
        entry('id IS NOT NULL'),
      ],
      { kinds: all },
    );
    expect(report.results.map(({ status }) => status)).toEqual([
      'passed',
      'passed',
      'errored',
      'passed',
      'errored',
    ]);
    expect(report.results[2]?.error).toContain('division by zero');
    expect(statementsOf(report.results)).toBe(2);
  });

  it('count against thresholds', async () => {
    // 30 rows, 10 of them with level 2.
    const bad = 'level = 2';
    const report = await run(
      [
        entry(bad, { failAbove: 9 }),
        entry(bad, { failAbove: 10 }),
        entry(bad, { warnAbove: 0, failAbove: '50%' }),
        entry(bad, { failAbove: '33%' }),
        entry(bad, { failAbove: '33.4%' }),
        entry(bad, { failAbove: 0, severity: 'warn' }),
        entry(bad, { warnAbove: 10 }),
        entry('false', { warnAbove: 0 }),
        entry(bad, { failAbove: 'few' }),
        { kind: 'tables', with: ['User'], shared: { where: 'true' } },
      ],
      { kinds: all },
    );
    expect(report.results.map(({ status }) => status)).toEqual([
      'failed',
      'passed',
      'warned',
      'failed',
      'passed',
      'warned',
      'passed',
      'passed',
      'errored',
      'errored',
    ]);
    expect(report.results[1]?.message).toContain('; not above 10');
    expect(report.results[9]?.error).toBe('"where" is not possible for tables');
  });
});

describe('choosing checks', () => {
  const suite = [
    { ...passes, shared: { name: 'one', tags: ['quick'] } },
    { kind: 'tables', with: ['User', 'Tenant'], shared: { name: 'both', tags: ['quick', 'schema'] } },
    { ...fails, shared: { tags: ['slow'] } },
  ];
  it.each([
    [{ only: ['quick'] }, ['one', 'both: table User', 'both: table Tenant'], 1],
    [{ only: ['both'] }, ['both: table User', 'both: table Tenant'], 2],
    [{ skip: ['slow', 'both: table User'] }, ['one', 'both: table Tenant'], 2],
    [{ only: ['quick'], skip: ['schema'] }, ['one'], 3],
  ])('%j', async (options, names, leftOut) => {
    const report = await run(suite, options);
    expect(report.results.map(({ name }) => name)).toEqual(names);
    expect(report).toMatchObject({ verdict: 'verified', leftOut });
  });

  it('refuses names that fit nothing, and finds nothing shown when nothing is left', async () => {
    await expect(run(suite, { skip: ['quik'] })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: 'skip names "quik", but no check or tag is called so, did you mean "quick"?',
    });
    expect((await run(suite, { only: ['slow'], skip: ['slow'] })).verdict).toBe('inconclusive');
  });
});

describe('limits of a suite', () => {
  it('leave what is not done in time errored', async () => {
    const limits = { withinMs: 200 };
    const slow = { kind: 'sql', with: { query: 'select pg_sleep(30)', expect: 'rows' }, limits };
    const report = await run([slow, { ...passes, limits }, passes], { jobs: 1 });
    expect(report.results.map(({ status }) => status)).toEqual(['errored', 'errored', 'passed']);
    expect(report.results[1]?.error).toContain('the time of the suite (200ms) was up');
    expect(report.durationMs).toBeLessThan(10_000);
  });

  it('keep indexes from answering where they are not trusted', async () => {
    const query = `select current_setting('enable_indexscan') = 'off'`;
    const asks = { kind: 'sql', with: { query, expect: true } };
    const report = await run([asks, { ...asks, limits: { trustIndexes: false } }, asks], { jobs: 1 });
    expect(report.results.map(({ status }) => status)).toEqual(['failed', 'passed', 'failed']);
    const told: string[] = [];
    expect(
      (await run([asks], { trustIndexes: false, onDistrust: (reason) => told.push(reason) })).verdict,
    ).toBe('verified');
    expect(told).toEqual([]);
  });

  it('keep indexes that lie from answering: keys and references are read from the tables', async () => {
    // What comes in while an index is not ready is never in it.
    const behindItsBack = (index: string, statement: string) =>
      `UPDATE pg_index SET indisready = false WHERE indexrelid = '"Lie ${index}"'::regclass; ${statement}; UPDATE pg_index SET indisready = true WHERE indexrelid = '"Lie ${index}"'::regclass;`;
    sql(
      database,
      `CREATE TABLE "Lie" (id int CONSTRAINT "Lie key" PRIMARY KEY, n int); INSERT INTO "Lie" VALUES (1, 1), (2, 2);
       CREATE TABLE "Lied" ("lie Id" int REFERENCES "Lie" (id)); CREATE INDEX "Lie child" ON "Lied" ("lie Id"); INSERT INTO "Lied" VALUES (1), (2);
       SET session_replication_role = replica;
       ${behindItsBack('key', 'INSERT INTO "Lie" VALUES (2, 3)')}
       ${behindItsBack('child', 'INSERT INTO "Lied" VALUES (99)')}
       VACUUM (ANALYZE) "Lie", "Lied"; ALTER DATABASE "${database}" SET enable_seqscan = off;`,
    );
    const reference = { table: 'Lied', columns: ['lie Id'], references: { table: 'Lie', columns: ['id'] } };
    const asked = [
      { kind: 'foreignKey', with: reference },
      { kind: 'orphans', with: reference },
      { kind: 'primaryKey', with: { table: 'Lie' } },
      { kind: 'primaryKey', with: { table: 'Tenant', columns: ['id'] } },
      { kind: 'unique', with: { table: 'Lie', columns: ['id'] } },
    ];
    try {
      const [trusting, doubting] = [
        await run(asked, { trustIndexes: true }),
        await run(asked, { trustIndexes: false }),
      ];
      expect(trusting.results.map(({ status }) => status)).toEqual(Array(5).fill('passed'));
      expect(doubting.results.map(({ status, message }) => `${status}: ${message}`)).toEqual([
        'failed: 1 orphan (1 missing key): "lie Id" → "Lie" ("id")',
        'failed: 1 orphan (1 missing key): "lie Id" → "Lie" ("id")',
        expect.stringMatching(
          /^failed: primary key "Lie key" .*is damaged: 1 key is there more than once \(2 rows\)/,
        ),
        expect.stringMatching(/^passed: .*; the rows keep to it$/),
        expect.stringContaining('failed: '),
      ]);
    } finally {
      sql(database, `ALTER DATABASE "${database}" RESET enable_seqscan; DROP TABLE "Lied", "Lie"`);
    }
  });

  it('distrust by themselves when a collation is not the one that the indexes were made with', async () => {
    // Databases carry a version since PostgreSQL 15.
    if (Number(sql(database, 'SHOW server_version_num')) < 150_000) return;
    sql(database, `UPDATE pg_database SET datcollversion = '0.1' WHERE datname = current_database()`);
    const told: string[] = [];
    try {
      const asks = {
        kind: 'sql',
        with: { query: `select current_setting('enable_indexscan') = 'off'`, expect: true },
      };
      const report = await run([asks], { onDistrust: (reason) => told.push(reason) });
      const possible = sql(
        database,
        `SELECT pg_database_collation_actual_version(oid) FROM pg_database WHERE datname = current_database()`,
      );
      expect(report.verdict, possible).toBe('verified');
      expect(told[0]).toContain('has version 0.1');
    } finally {
      sql(database, `UPDATE pg_database SET datcollversion = NULL WHERE datname = current_database()`);
    }
  });
});

describe('session', () => {
  it('sees one snapshot through all connections, while rows come in', async () => {
    sql(database, 'CREATE TABLE IF NOT EXISTS moving (n int)');
    const writer = spawn(
      `${inject('cluster').binDirectory}/psql`,
      [
        '-Xq',
        '-d',
        sharedUrl(database),
        '-c',
        'DO $$ BEGIN FOR i IN 1..2000 LOOP INSERT INTO moving VALUES (i); COMMIT; PERFORM pg_sleep(0.001); END LOOP; END $$',
      ],
      { stdio: 'ignore' },
    );
    const counts: string[] = [];
    const kind = defineCheck({
      kind: 'peek',
      summary: '',
      params: { type: 'number' },
      title: (n) => `peek ${n}`,
      async run(client) {
        const [row] = await client.query<{ n: string; backend: number }>(
          'SELECT count(*) AS n, pg_backend_pid() AS backend FROM public.moving, pg_sleep(0.02)',
        );
        counts.push(`${row?.n}`);
        return { outcome: 'passed', message: `${row?.backend}` };
      },
    });
    const report = await run(
      Array.from({ length: 12 }, (_, n) => ({ kind: 'peek', with: n })),
      { kinds: new Map([['peek', kind]]), jobs: 3 },
    );
    writer.kill();
    expect(report.verdict).toBe('verified');
    expect(new Set(counts).size).toBe(1);
    expect(new Set(report.results.map((result) => result.message)).size).toBe(3);
  });

  it('leaves nothing behind: no session, no change', async () => {
    const name = uniqueName('suite');
    await run([passes, fails, errs], { applicationName: name });
    expect(sql(database, `SELECT count(*) FROM pg_stat_activity WHERE application_name = '${name}'`)).toBe(
      '0',
    );
  });

  it('times a check out and goes on', async () => {
    const report = await run(
      [
        { kind: 'sql', with: { query: 'select pg_sleep(30)', timeout: '100ms' } },
        { kind: 'sql', with: { query: 'select pg_sleep(0.01)', expect: 'rows' } },
      ],
      { jobs: 1 },
    );
    expect(report.results[0]).toMatchObject({ status: 'errored', error: 'timed out after 100ms' });
    expect(report.results[1]?.status).toBe('passed');
  });

  it('bounds a check that runs many short statements', async () => {
    const kind = defineCheck({
      kind: 'many',
      summary: '',
      params: {},
      title: () => 'many',
      async run(client) {
        for (;;) await client.query('SELECT pg_sleep(0.02)');
      },
    });
    const report = await run([{ kind: 'many', with: {}, shared: { timeout: '150ms' } }], {
      kinds: new Map([['many', kind as CheckKind]]),
    });
    expect(report.results[0]).toMatchObject({ status: 'errored', error: 'timed out after 150ms' });
  });

  it('does not wait for ever behind a lock', async () => {
    sql(database, 'CREATE TABLE IF NOT EXISTS locked (n int)');
    const holder = spawn(
      `${inject('cluster').binDirectory}/psql`,
      ['-Xq', '-d', sharedUrl(database), '-c', 'BEGIN; LOCK TABLE locked; SELECT pg_sleep(60)'],
      { stdio: 'ignore' },
    );
    const held = () =>
      sql(
        database,
        `SELECT count(*) FROM pg_locks WHERE relation = 'locked'::regclass AND mode = 'AccessExclusiveLock' AND granted`,
      );
    while (held() !== '1') await new Promise((resolve) => setTimeout(resolve, 20));
    try {
      const report = await run([{ kind: 'rowCount', with: { table: 'locked', min: 0 } }, passes]);
      expect(report.results[0]).toMatchObject({
        status: 'errored',
        error: 'waited too long for a lock on the table',
      });
      expect(report.results[1]?.status).toBe('passed');
    } finally {
      sql(database, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'locked'::regclass`);
      holder.kill();
    }
  });

  it('calls what row-level security or missing rights hide errored, never passed', async () => {
    const role = uniqueName('reader');
    sql(
      database,
      `CREATE ROLE ${role} LOGIN; GRANT SELECT ON "Tenant" TO ${role};
       ALTER TABLE "Tenant" ENABLE ROW LEVEL SECURITY;
       CREATE POLICY first_only ON "Tenant" USING (id = 't1')`,
    );
    try {
      const report = await run(
        [
          { kind: 'rowCount', with: { table: 'Tenant', min: 1 } },
          { kind: 'rowCount', with: { table: 'User', min: 1 } },
          { kind: 'tables', with: ['User'] },
        ],
        { connection: parseConnection(sharedUrl(database, role)) },
      );
      expect(report.results[0]).toMatchObject({ status: 'errored' });
      expect(report.results[0]?.hint).toContain('BYPASSRLS');
      expect(report.results[1]?.error).toContain('permission denied for table User');
      expect(report.results[2]?.status).toBe('passed');
      expect(report.verdict).toBe('inconclusive');
    } finally {
      sql(
        database,
        `ALTER TABLE "Tenant" DISABLE ROW LEVEL SECURITY; DROP OWNED BY ${role}; DROP ROLE ${role}`,
      );
    }
  });

  it('reports what a lost connection leaves as errored', async () => {
    const name = uniqueName('lost');
    const report = await run(
      [
        passes,
        { kind: 'sql', with: { query: 'select pg_terminate_backend(pg_backend_pid())', expect: 'rows' } },
        passes,
        fails,
      ],
      { jobs: 1, applicationName: name },
    );
    expect(report.results.map(({ status }) => status)).toEqual(['passed', 'errored', 'errored', 'errored']);
    expect(report.results[3]?.error).toBe('not run: the connection to the database was lost');
    expect(report.verdict).toBe('inconclusive');
  });

  it('lets the connections that are left do the rest', async () => {
    const kill = {
      kind: 'sql',
      with: { query: 'select pg_terminate_backend(pg_backend_pid()), pg_sleep(1)', expect: 'rows' },
    };
    const slow = { kind: 'sql', with: { query: 'select pg_sleep(0.3)', expect: 'rows' } };
    const report = await run([slow, slow, kill, passes, passes, passes], { jobs: 2 });
    expect(report.results.map(({ status }) => status)).toEqual([
      'passed',
      'passed',
      'errored',
      'passed',
      'passed',
      'passed',
    ]);
  });

  it('works with fewer connections than wished for', async () => {
    const role = uniqueName('single');
    sql(database, `CREATE ROLE ${role} LOGIN CONNECTION LIMIT 1`);
    try {
      const report = await run([passes, passes, passes, passes], {
        jobs: 4,
        connection: parseConnection(sharedUrl(database, role)),
      });
      expect(report.summary).toBe('4/4 checks passed');
    } finally {
      sql(database, `DROP ROLE ${role}`);
    }
  });

  it('stops on abort with the reason, and ends the running query', async () => {
    const name = uniqueName('abort');
    const controller = new AbortController();
    const running = run([{ kind: 'sql', with: { query: 'select pg_sleep(60)' } }, passes], {
      signal: controller.signal,
      applicationName: name,
    });
    const active = () =>
      sql(
        database,
        `SELECT count(*) FROM pg_stat_activity WHERE application_name = '${name}' AND state = 'active' AND wait_event = 'PgSleep'`,
      );
    while (active() === '0') await new Promise((resolve) => setTimeout(resolve, 20));
    controller.abort(new BackplanError('CANCELLED', 'stopped by a test'));
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED', message: 'stopped by a test' });
    while (active() !== '0') await new Promise((resolve) => setTimeout(resolve, 50));
  });

  it('refuses to start when already aborted, or without a connection', async () => {
    const signal = AbortSignal.abort();
    await expect(run([passes], { signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(
      run([passes], { connection: parseConnection(sharedUrl('no_such_database')) }),
    ).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  it('tells progress after every check', async () => {
    const seen: [number, number | undefined, string | undefined][] = [];
    await run([passes, fails], {
      jobs: 1,
      onProgress: ({ done, total, note }, { status }) => seen.push([done, total, `${note}: ${status}`]),
    });
    expect(seen).toEqual([
      [1, 2, 'sql select 1 where false: passed'],
      [2, 2, 'sql select 1: failed'],
    ]);
  });
});

describe('schema of the report', () => {
  it('describes what a suite yields', async () => {
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(checkReportSchema);
    const report = await run([
      passes,
      fails,
      errs,
      vacuous,
      { kind: 'rowCount', with: { table: 'Nope', min: 1 } },
    ]);
    const whole = {
      reportVersion: 1,
      kind: 'check',
      suites: ['a'],
      database: 'crm',
      backup: null,
      ...report,
    };
    expect(validate(JSON.parse(JSON.stringify(whole))), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ ...whole, results: [{}] })).toBe(false);
  });
});
