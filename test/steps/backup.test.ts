import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { readThrough } from '../../src/postgres/archive.ts';
import { findTools } from '../../src/postgres/tools.ts';
import { backup } from '../../src/steps/backup.ts';
import { psqlSession } from '../helpers/cluster.ts';
import { makeContext, type TestContext } from '../helpers/context.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';
import { createHardDatabase } from '../helpers/hard-schema.ts';

const defaults = {
  database: 'crm',
  repository: 'local',
  fingerprint: 'counts',
  format: 'custom',
  lockTimeout: '60s',
};

async function published(context: TestContext) {
  return await (await context.repository('local')).backups('crm');
}

/** Nothing but the repository's own mark may be left in its folder. */
function files(context: TestContext): string[] {
  return readdirSync(context.repositoryFolder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /archive|globals|database\.json|manifest/.test(path),
  );
}

/** Process id of a child of this very process. */
function childOfMine(program: string): number {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = (() => {
      try {
        return readFileSync(`/proc/${pid}/stat`, 'utf8');
      } catch {
        return '';
      }
    })();
    const match = /^\d+ \((.*)\) \S (\d+) /.exec(stat);
    if (match?.[1] === program && Number(match[2]) === process.pid) return Number(pid);
  }
  throw new Error(`this process has no child ${program}`);
}

function restoreTools() {
  return findTools(undefined, { binDirectories: [inject('cluster').binDirectory], need: ['pg_restore'] });
}

describe('of the hard database', () => {
  let name: string;
  beforeAll(() => {
    name = createHardDatabase();
  });

  test.each([
    ['custom, zstd', {}, 'zstd'],
    ['custom, not compressed', { compress: 'none' }, 'pg_dump:none'],
    ['directory', { format: 'directory', jobs: 2 }, expect.stringMatching(/^pg_dump:(gzip|zstd)$/)],
    ['directory, not compressed', { format: 'directory', compress: { method: 'none' } }, 'pg_dump:none'],
  ])('%s', async (_kind, params, compression) => {
    const context = makeContext({ databases: { crm: sharedUrl(name) } });
    const outputs = await backup.run({ ...defaults, label: 'by hand', ...params }, context);
    const [found] = await published(context);
    expect(found?.manifest).toMatchObject({
      id: outputs.id,
      plan: 'test-plan',
      job: 'test',
      run: context.run.id,
      label: 'by hand',
      compression,
      selection: {},
      source: { name, encoding: 'UTF8', owner: 'hard_owner', inRecovery: false, schemaVersion: null },
      archiveEntries: { TABLE: 25, 'FK CONSTRAINT': 7, POLICY: 2, EXTENSION: 6 },
    });
    expect(found?.manifest.source.extensions.map((each) => each.name)).toContain('hstore');
    expect(found?.manifest.fingerprint.tables.find(({ table }) => table === 'User')?.rows).toBe(300);
    expect(outputs.rows).toBeGreaterThan(900);
    expect(found?.proofs).toEqual([]);
    // Every file is what the manifest says, and stock tools can read the archive.
    const folder = join(context.repositoryFolder, String(outputs.folder));
    for (const file of found?.manifest.files ?? []) {
      const bytes = readFileSync(join(folder, file.path));
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(file.sha256);
    }
    expect(readFileSync(join(folder, 'globals.sql'), 'utf8')).toContain('CREATE ROLE "Hard Reader"');
    const archive = join(folder, 'archive.dump.zst');
    const plain = join(temporaryFolder(), 'plain');
    if (compression === 'zstd') execFileSync('zstd', ['-q', '-d', archive, '-o', plain]);
    const path =
      compression === 'zstd' ? plain : join(folder, 'format' in params ? 'archive' : 'archive.dump');
    await readThrough(await restoreTools(), path, { signal: new AbortController().signal });
    expect(context.owned()).toEqual([]);
    expect(context.everOwned).toMatchObject([{ kind: 'folder' }]);
  });

  test('a selection takes exactly what it names, partitions with their parents', async () => {
    const context = makeContext({ databases: { crm: sharedUrl(name) } });
    const run = async (params: Record<string, unknown>) => {
      await backup.run({ ...defaults, ...params }, context);
      return (await published(context)).at(-1)?.manifest;
    };
    const tables = await run({ tables: ['User', 'audit.AuditLog', '"weird.schema"."dotted.table"'] });
    expect(tables?.archiveEntries).toMatchObject({ TABLE: 8, 'TABLE DATA': 6 });
    expect(tables?.selection).toEqual({
      tables: ['User', 'audit.AuditLog', '"weird.schema"."dotted.table"'],
    });
    expect(tables?.fingerprint.tables.map(({ table }) => table)).toEqual([
      'AuditLog',
      'User',
      'dotted.table',
    ]);
    const without = await run({ excludeData: ['audit.AuditLog'], exclude: ['"LogRef"'] });
    expect(without?.archiveEntries).toMatchObject({ TABLE: 24, 'TABLE DATA': 17 });
    const schema = await run({ schemas: ['Sales Ops'] });
    expect(schema?.archiveEntries).toMatchObject({ TABLE: 1, EXTENSION: 4 });
    const only = await run({ only: 'schema' });
    expect(only?.archiveEntries['TABLE DATA']).toBeUndefined();
    expect(only?.fingerprint.kind).toBe('none');
    await expect(run({ tables: ['user'] })).rejects.toMatchObject({
      code: 'DUMP_FAILED',
      hint: expect.stringContaining('Did you mean User'),
    });
    await expect(run({ schemas: ['nowhere'] })).rejects.toMatchObject({ code: 'DUMP_FAILED' });
  });
});

test('dump and fingerprint see one snapshot while others write', async () => {
  const name = createDatabase('snapshot', 'CREATE TABLE t (a int, pad text)');
  const session = psqlSession(join(inject('cluster').binDirectory, 'psql'), sharedUrl(name));
  session.stdin.write("INSERT INTO t SELECT 1, repeat('x', 100) FROM generate_series(1, 500);\n".repeat(400));
  const context = makeContext({ databases: { crm: sharedUrl(name) } });
  for (let n = 0; n < 3; n++) await backup.run({ ...defaults, fingerprint: 'content' }, context);
  session.stdin.end();
  await new Promise((resolve) => session.on('close', resolve));
  for (const { manifest, folder } of await published(context)) {
    const text = execFileSync(
      'sh',
      [
        '-c',
        `zstd -q -dc archive.dump.zst | "${(await restoreTools()).path('pg_restore')}" -a -f - | grep -c '^1' || true`,
      ],
      { cwd: join(context.repositoryFolder, folder), encoding: 'utf8' },
    );
    expect(Number(text)).toBe(manifest.fingerprint.tables[0]?.rows);
  }
});

describe('what fails leaves nothing, and says what to do', () => {
  async function fails(context: TestContext, params: Record<string, unknown> = {}): Promise<BackplanError> {
    const failure = await backup.run({ ...defaults, ...params }, context).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(BackplanError);
    expect(await published(context)).toEqual([]);
    expect(files(context)).toEqual([]);
    expect(context.owned()).toEqual([]);
    return failure as BackplanError;
  }

  test.each(['none', 'counts'])(
    'row-level security that would hide rows (fingerprint: %s)',
    async (fingerprint) => {
      const name = createDatabase(
        'rls',
        `CREATE TABLE t (a int); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
       DO $$ BEGIN CREATE ROLE rls_reader LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
       GRANT SELECT ON t TO rls_reader`,
      );
      const context = makeContext({ databases: { crm: sharedUrl(name, 'rls_reader') } });
      expect(await fails(context, { fingerprint })).toMatchObject({
        code: 'PERMISSION_DENIED',
        hint: expect.stringContaining('BYPASSRLS'),
      });
    },
  );

  test('a table that may not be read', async () => {
    const name = createDatabase(
      'denied',
      `CREATE TABLE t (a int);
       DO $$ BEGIN CREATE ROLE denied_reader LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
    );
    const context = makeContext({ databases: { crm: sharedUrl(name, 'denied_reader') } });
    expect(await fails(context, { fingerprint: 'none' })).toMatchObject({
      code: 'PERMISSION_DENIED',
      hint: expect.stringContaining('pg_read_all_data'),
    });
  });

  test('a table that is locked for longer than the plan waits', async () => {
    const name = createDatabase('locked', 'CREATE TABLE t (a int)');
    const session = psqlSession(join(inject('cluster').binDirectory, 'psql'), sharedUrl(name));
    session.stdin.write('BEGIN; LOCK TABLE t; \\echo locked\n');
    await new Promise((resolve) => session.stdout.once('data', resolve));
    for (const fingerprint of ['none', 'counts']) {
      const context = makeContext({ databases: { crm: sharedUrl(name) } });
      expect(await fails(context, { fingerprint, lockTimeout: '300ms' })).toMatchObject({
        code: 'DUMP_FAILED',
        transient: true,
        hint: expect.stringContaining('lockTimeout'),
      });
    }
    session.kill();
  });

  /** Runs a backup and does something as soon as rows flow: more is to come than all pipes hold. */
  async function interrupted(prefix: string, act: (name: string, context: TestContext) => void) {
    const name = createDatabase(
      prefix,
      'CREATE TABLE t AS SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 40000) g',
    );
    const context = makeContext({ databases: { crm: sharedUrl(name) } });
    let acted = false;
    const watched: TestContext = {
      ...context,
      progress: () => {
        if (acted) return;
        acted = true;
        act(name, context);
      },
    };
    return { name, error: await fails(watched) };
  }

  test('pg_dump that is killed', async () => {
    const { error } = await interrupted('killed', () => process.kill(childOfMine('pg_dump'), 'SIGKILL'));
    expect(error).toMatchObject({ code: 'DUMP_FAILED', message: expect.stringContaining('SIGKILL') });
  });

  test('a session of pg_dump that the server ends', async () => {
    const { error } = await interrupted('ended', (name) =>
      sql(
        'postgres',
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND query LIKE 'COPY%'`,
      ),
    );
    expect(error).toMatchObject({ code: 'DUMP_FAILED', transient: true });
  });

  test('cancelled in the middle: pg_dump ends, too', async () => {
    const { name, error } = await interrupted('cancelled', (_name, context) =>
      context.abort(new BackplanError('CANCELLED', 'enough')),
    );
    expect(error.code).toBe('CANCELLED');
    const sessions = () =>
      Number(sql('postgres', `SELECT count(*) FROM pg_stat_activity WHERE datname = '${name}'`));
    while (sessions() > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  test('tools that are missing or older than the server', async () => {
    const context = makeContext({
      databases: { crm: sharedUrl('postgres') },
      settings: { binDirectories: [] },
    });
    await backup.run(defaults, context);
    expect((await published(context)).length).toBe(1);
    const gone = makeContext({ databases: { crm: 'postgresql://nobody@127.0.0.1:1/x' } });
    expect(await fails(gone)).toMatchObject({ code: 'CONNECTION_FAILED', transient: true });
  });
});

test('secrets are in no file and no message', async () => {
  const name = createDatabase('secret');
  const url = sharedUrl(name).replace('postgres@', 'postgres:s3cr3t-w0rd@');
  const context = makeContext({ databases: { crm: url } });
  const outputs = await backup.run(defaults, context);
  const folder = join(context.repositoryFolder, String(outputs.folder));
  expect(existsSync(folder)).toBe(true);
  for (const path of readdirSync(folder)) {
    expect(readFileSync(join(folder, path)).includes('s3cr3t-w0rd')).toBe(false);
  }
  expect(JSON.stringify([context.logged, context.stderrLines])).not.toContain('s3cr3t-w0rd');
});
