import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { withClient } from '../../src/postgres/client.ts';
import { type Connection, parseConnection } from '../../src/postgres/connection.ts';
import { captureDatabaseState } from '../../src/postgres/globals.ts';
import { parseMarker } from '../../src/postgres/marker.ts';
import type { Backup } from '../../src/repository/manifest.ts';
import { backup } from '../../src/steps/backup.ts';
import { restore } from '../../src/steps/restore.ts';
import { makeContext, type TestContext } from '../helpers/context.ts';
import { sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';
import { dumpText } from '../helpers/dump-text.ts';
import { createHardDatabase } from '../helpers/hard-schema.ts';
import { thorough } from '../helpers/rounds.ts';

const BACKUP = {
  database: 'crm',
  repository: 'local',
  fingerprint: 'counts',
  format: 'custom',
  lockTimeout: '60s',
};
const RESTORE = { noOwner: false, noPrivileges: false };

let source: string;
let original: string;
let context: TestContext;
let archive: string;

function urlOf({ host, port, user, database }: Connection): string {
  return `postgresql://${user}@/${encodeURIComponent(database)}?host=${encodeURIComponent(host)}&port=${port}`;
}

async function run(params: Record<string, unknown>, within = context) {
  const outputs = await restore.run({ ...RESTORE, ...params }, within);
  const target = within.database(String(outputs.database));
  return { outputs, target, text: () => dumpText(urlOf(target.connection)) };
}

function pgDump(args: string[]): Buffer {
  return execFileSync(
    join(inject('cluster').binDirectory, 'pg_dump'),
    ['--dbname', sharedUrl(source), ...args],
    {
      maxBuffer: 1e9,
    },
  );
}

function databasesLike(name: string): string {
  return sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE '${name}\\_%' ORDER BY 1`);
}

const scratchDirectory = temporaryFolder();

function leftovers(): string[] {
  return readdirSync(scratchDirectory);
}

beforeAll(async () => {
  source = createHardDatabase();
  original = dumpText(sharedUrl(source));
  context = makeContext({ databases: { crm: sharedUrl(source) }, settings: { scratchDirectory } });
  archive = String((await backup.run(BACKUP, context)).backup);
});

describe('whole round trips are equal to the byte', () => {
  test('into a sandbox, with the state of the database itself', async () => {
    const { outputs, target, text } = await run({ backup: archive, into: 'sandbox' });
    expect(text()).toBe(original);
    expect(outputs).toMatchObject({ name: source, backup: archive, tables: 25 });
    expect(target).toMatchObject({ kind: 'sandbox', database: 'crm', restoredFrom: { whole: true } });
    const wanted = await withClient(parseConnection(sharedUrl(source)), {}, (client) =>
      captureDatabaseState(client),
    );
    const reached = await withClient(target.connection, {}, (client) => captureDatabaseState(client));
    expect(reached).toEqual(wanted);
    const [found] = await (await context.repository('local')).backups('crm');
    expect(found?.proofs).toMatchObject([{ kind: 'restored', passed: true, run: context.run.id }]);
    const sandbox = context.owned().find((thing) => thing.kind === 'sandbox');
    await context.cleanUp();
    expect(context.owned()).toEqual([]);
    expect(existsSync(sandbox?.kind === 'sandbox' ? sandbox.folder : '/')).toBe(false);
  });

  test('a directory backup beside production', async () => {
    const own = makeContext({ databases: { crm: sharedUrl(source) } });
    const made = await backup.run({ ...BACKUP, format: 'directory', jobs: 2, label: 'as a folder' }, own);
    const { outputs, target, text } = await run(
      { backup: 'label:as a folder', into: { staging: 'crm' } },
      own,
    );
    expect(outputs.backup).toBe(made.backup);
    expect(target).toMatchObject({ kind: 'staging', database: 'crm', handle: `staging:crm/${outputs.name}` });
    expect(text()).toBe(original);
    const comment = sql(
      'postgres',
      `SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '${outputs.name}'`,
    );
    expect(parseMarker(comment)).toMatchObject({
      stagingFor: source,
      run: own.run.id,
      backup: made.backup,
      comment: expect.stringContaining('the "hard" database'),
    });
    const wanted = await withClient(parseConnection(sharedUrl(source)), {}, (client) =>
      captureDatabaseState(client),
    );
    const reached = await withClient(target.connection, {}, (client) => captureDatabaseState(client));
    expect(reached).toEqual({ ...wanted, name: outputs.name, comment: reached.comment });
    expect(own.owned()).toEqual([{ kind: 'stagingDatabase', database: 'crm', name: outputs.name }]);
  });

  test('an uncompressed backup into a new database with an awkward name', async () => {
    const own = makeContext({ databases: { crm: sharedUrl(source) } });
    const made = await backup.run({ ...BACKUP, compress: 'none' }, own);
    const name = `${source}_We"ird' \\ name=x ☃`;
    const { target, text } = await run({ backup: made.id, into: { database: name } }, own);
    expect(target.handle).toBe(`named:crm/${name}`);
    expect(text()).toBe(original);
    expect(own.owned()).toEqual([]);
    await expect(run({ backup: made.id, into: { database: name } }, own)).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringContaining('already'),
    });
  });
});

describe('archives from elsewhere', () => {
  const folder = temporaryFolder();
  const kinds: [string, () => string][] = [
    ['custom', () => write('a.dump', pgDump(['-Fc']))],
    ['custom in gzip', () => packed('gzip', 'b.dump', pgDump(['-Fc', '-Z0']))],
    ['custom in zstd', () => packed('zstd', 'c.dump', pgDump(['-Fc', '-Z0']))],
    ['tar', () => write('d.tar', pgDump(['-Ft']))],
    ['tar in gzip', () => packed('gzip', 'e.tar', pgDump(['-Ft']))],
    ['plain', () => write('no-suffix', pgDump([]))],
    ['plain in zstd', () => packed('zstd', 'f.sql', pgDump([]))],
    ['plain with --create and --inserts', () => write('g.sql', pgDump(['-C', '--clean', '--inserts']))],
    [
      'directory',
      () => {
        pgDump(['-Fd', '-f', join(folder, 'dir')]);
        return join(folder, 'dir');
      },
    ],
  ];
  function write(name: string, bytes: Buffer): string {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  }
  function packed(program: string, name: string, bytes: Buffer): string {
    const path = write(name, bytes);
    writeFileSync(`${path}.packed`, execFileSync(program, ['-c', path], { maxBuffer: 1e9 }));
    return `${path}.packed`;
  }

  // Each way of packing is undone by the same code for each format: one of each is enough for every day.
  const everyDay = kinds.filter(
    ([kind]) => thorough || !['custom in gzip', 'plain in zstd', 'tar in gzip'].includes(kind),
  );

  test.each(everyDay)('%s', async (kind, make) => {
    const name = `${source}_${kind.replaceAll(/\W/g, '')}`;
    const before = sql('postgres', `SELECT oid FROM pg_database WHERE datname = '${source}'`);
    const { outputs, text, target } = await run({ path: make(), into: { database: name } });
    expect(outputs).toMatchObject({ backup: null, name });
    expect(target.restoredFrom).toMatchObject({ whole: true });
    expect(text()).toBe(original);
    // --create --clean would have dropped and made the original.
    expect(sql('postgres', `SELECT oid FROM pg_database WHERE datname = '${source}'`)).toBe(before);
    expect(leftovers()).toEqual([]);
  });

  test('damaged ones are refused and leave nothing', async () => {
    const cut = (name: string, bytes: Buffer, keep: number) =>
      write(name, bytes.subarray(0, Math.floor(bytes.length * keep)));
    const custom = pgDump(['-Fc', '-Z0']);
    const plain = pgDump([]);
    const broken = [
      cut('cut.dump', custom, 0.99),
      cut('cut-head.dump', custom, 0.01),
      cut('cut.sql', plain, 0.9),
      cut('cut-in-copy.sql', plain, 0.4),
      cut('cut.tar', pgDump(['-Ft']), 0.5),
      cut('cut.gz', readFileSync(packed('gzip', 'x.dump', custom)), 0.9),
      cut('cut.zst', readFileSync(packed('zstd', 'y.sql', plain)), 0.9),
      write('empty', Buffer.alloc(0)),
      write('random', Buffer.from(Array.from({ length: 5000 }, (_each, index) => (index * 7919) % 251))),
    ];
    for (const path of broken) {
      const name = `${source}_broken`;
      const failure = await run({ path, into: { database: name } }).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failure, path).toMatchObject({ code: 'BACKUP_CORRUPT' });
      expect(sql('postgres', `SELECT 1 FROM pg_database WHERE datname = '${name}'`)).toBe('');
    }
    expect(leftovers()).toEqual([]);
    expect(context.owned().filter(({ kind }) => kind !== 'sandbox')).toEqual([]);
  });

  test('scripts that would do more than fill the database are refused', async () => {
    const evil = write(
      'evil.sql',
      Buffer.from(`CREATE TABLE t (a int);\n\\! touch ${join(folder, 'pwned')}\n`),
    );
    await expect(run({ path: evil, into: 'sandbox' })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('\\!'),
    });
    expect(existsSync(join(folder, 'pwned'))).toBe(false);
    const two = write(
      'two.sql',
      Buffer.from('\\connect a\nCREATE TABLE t ();\n\\connect b\nCREATE TABLE t ();\n'),
    );
    await expect(run({ path: two, into: 'sandbox' })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    await expect(run({ path: join(folder, 'nothing'), into: 'sandbox' })).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
    });
  });
});

describe('parts of a backup', () => {
  test('tables with what belongs to them', async () => {
    const { target } = await run({
      backup: archive,
      tables: ['User', 'Tenant', 'audit.AuditLog'],
      into: { database: `${source}_part` },
    });
    expect(target.restoredFrom?.whole).toBe(false);
    const url = urlOf(target.connection);
    for (const table of ['"User"', '"Tenant"', 'audit."AuditLog"']) {
      const args = ['--table', table, '--no-privileges'];
      expect(dumpText(url, args)).toBe(dumpText(sharedUrl(source), args));
    }
    const there = sql(
      target.connection.database,
      "SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint WHERE contype = 'f'",
    );
    expect(there).toBe('Tenant_mainUser_fkey,User_tenantId_fkey');
    expect(sql(target.connection.database, 'SELECT to_regclass(\'"TenantLicense"\') IS NULL')).toBe('t');
    expect(context.logged.some(({ message }) => message.includes('composite fk'))).toBe(false);
    expect(context.logged.some(({ message }) => message.includes('utl user'))).toBe(true);
  });

  test('a schema', async () => {
    const { target } = await run({
      backup: archive,
      schemas: ['Sales Ops'],
      into: { database: `${source}_schema` },
    });
    const args = ['--schema', '"Sales Ops"'];
    expect(dumpText(urlOf(target.connection), args)).toBe(dumpText(sharedUrl(source), args));
  });

  test('definitions first, rows later into the same database', async () => {
    const name = `${source}_two`;
    const first = await run({ backup: archive, only: 'schema', into: { database: name } });
    expect(first.target.restoredFrom?.whole).toBe(false);
    expect(sql(name, 'SELECT count(*) FROM "User"')).toBe('0');
    // Cyclic keys and triggers are what makes rows alone hard: they are dropped here as one would.
    sql(name, 'ALTER TABLE "Tenant" DROP CONSTRAINT "Tenant_mainUser_fkey"');
    await run({ backup: archive, only: 'data', tables: ['Tenant', 'parent'], into: { database: name } });
    expect(sql(name, 'SELECT count(*) FROM "Tenant"')).toBe('40');
    // All rows or none: the second time the keys collide.
    await expect(
      run({
        backup: archive,
        only: 'data',
        tables: ['parent', 'Tenant', 'LogRef'],
        into: { database: name },
      }),
    ).rejects.toMatchObject({ code: 'RESTORE_FAILED' });
    expect(sql(name, 'SELECT count(*) FROM "LogRef"')).toBe('0');
  });

  test('names that are not in it are told with those that are near', async () => {
    await expect(run({ backup: archive, tables: ['user'], into: 'sandbox' })).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
      hint: expect.stringContaining('"User"'),
    });
  });
});

describe('damage in the repository', () => {
  async function damaged(change: (path: string, found: Backup) => void) {
    const own = makeContext({ databases: { crm: sharedUrl(source) } });
    await backup.run(BACKUP, own);
    const repository = await own.repository('local');
    const found = await repository.find('latest', 'crm');
    change(join(own.repositoryFolder, found.folder, 'archive.dump.zst'), found);
    return { own, repository };
  }

  test('a flipped bit: nothing is made, and the backup is not proven', async () => {
    const { own, repository } = await damaged((path) => {
      const bytes = readFileSync(path);
      bytes[15_000] = (bytes[15_000] ?? 0) ^ 4;
      writeFileSync(path, bytes);
    });
    const before = databasesLike(source);
    for (const into of ['sandbox', { staging: 'crm' }]) {
      await expect(run({ backup: 'latest', into }, own)).rejects.toMatchObject({ code: 'BACKUP_CORRUPT' });
    }
    expect(databasesLike(source)).toBe(before);
    expect(own.owned()).toEqual([]);
    const [found] = await repository.backups('crm');
    expect(found?.proofs.map(({ passed }) => passed)).toEqual([false, false]);
  });

  test('a file that was cut: the backup is not there for a restore', async () => {
    const { own } = await damaged((path) => truncateSync(path, 20_000));
    await expect(run({ backup: 'latest', into: 'sandbox' }, own)).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
    });
  });
});

test('what the plan asks for and this tool cannot do is said before anything happens', async () => {
  await expect(run({ backup: archive, at: '2026-01-01T00:00:00Z', into: 'sandbox' })).rejects.toMatchObject({
    code: 'INPUT_INVALID',
    message: expect.stringContaining('point in time'),
  });
  await expect(run({ backup: 'nothing-like-it', into: 'sandbox' })).rejects.toMatchObject({
    code: 'BACKUP_NOT_FOUND',
  });
  await expect(run({ backup: '', into: 'sandbox' })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
});
