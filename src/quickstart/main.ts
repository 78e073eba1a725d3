/**
 * `npm run quickstart`: the main job on an embedded default, shown live. A private PostgreSQL with a sample CRM
 * licence database is backed up, rehearsed, checked, damaged, restored and promoted, through the very commands a
 * user would type. Nothing else on the machine is touched and nothing is left running.
 */
import { spawn } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters, styleText } from 'node:util';
import { toBackplanError } from '../errors.ts';
import { withClient } from '../postgres/client.ts';
import type { Connection } from '../postgres/connection.ts';
import { formatDuration } from '../units.ts';
import { ensurePostgres } from './ensure-postgres.ts';
import { startPrivateServer } from './private-server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const BIN = join(ROOT, 'bin', 'backplan.js');
const DATABASE = 'crm';

const say = (text = '') => process.stdout.write(`${text}\n`);
const title = (text: string) => say(`\n${styleText(['bold', 'cyan'], text)}`);

const abort = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (abort.signal.aborted) process.exit(130);
    say(`\n${name}: stopping the private server …`);
    abort.abort(new Error(name));
  });
}

interface Timing {
  readonly what: string;
  readonly durationMs: number;
}

const timings: Timing[] = [];

/** Shows the command as a user would type it and runs it on this terminal. Returns its exit code. */
async function backplan(
  args: readonly string[],
  env: Record<string, string>,
  folder: string,
): Promise<number> {
  say(styleText('dim', `$ backplan ${args.map((arg) => arg.replace(`${folder}/`, '')).join(' ')}`));
  const started = performance.now();
  const code = await new Promise<number>((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, ...args], {
      cwd: folder,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...env },
    });
    abort.signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
    child.on('error', reject);
    child.on('close', (exit, signal) => resolve(exit ?? (signal === null ? 1 : 130)));
  });
  timings.push({
    what: `backplan ${args[0]}${args[0] === 'run' ? ` ${args[2]}` : ''}`,
    durationMs: performance.now() - started,
  });
  abort.signal.throwIfAborted();
  return code;
}

async function expectCode(promise: Promise<number>, wanted: number, what: string): Promise<void> {
  const code = await promise;
  if (code !== wanted) throw new Error(`${what} ended with exit code ${code} instead of ${wanted}`);
}

/** What a person would look at: a few counts and whether the constraint is there. */
async function showState(connection: Connection): Promise<void> {
  await withClient(connection, { applicationName: 'backplan quickstart' }, async (client) => {
    const row = await client.first<Record<string, string>>(`
      SELECT (SELECT count(*) FROM "Tenant") AS tenants, (SELECT count(*) FROM "User") AS users,
             (SELECT count(*) FROM "UserTenantLicense") AS assignments,
             (SELECT count(*) FROM pg_class WHERE relname = 'tenantId_licenseType') AS "unique"`);
    say(
      `  production: ${row?.tenants} tenants, ${row?.users} users, ${row?.assignments} licence assignments, ` +
        `unique (tenantId, licenseType) ${row?.unique === '1' ? styleText('green', 'present') : styleText('red', 'MISSING')}`,
    );
  });
}

async function damage(connection: Connection): Promise<void> {
  await withClient(connection, { applicationName: 'backplan quickstart' }, async (client) => {
    await client.query(
      'DELETE FROM "UserTenantLicense" WHERE "userId" IN (SELECT id FROM "User" ORDER BY id LIMIT 200)',
    );
    await client.query('DELETE FROM "User" WHERE id IN (SELECT id FROM "User" ORDER BY id LIMIT 200)');
    const index = await client.first<{ constraint: string }>(
      `SELECT count(*) AS constraint FROM pg_constraint WHERE conname = 'tenantId_licenseType'`,
    );
    await client.query(
      index?.constraint === '0' || index?.constraint === undefined
        ? 'DROP INDEX "tenantId_licenseType"'
        : 'ALTER TABLE "TenantLicense" DROP CONSTRAINT "tenantId_licenseType"',
    );
  });
}

async function main(): Promise<void> {
  say(styleText('bold', 'backplan quickstart: a backup counts only when it has been restored and checked.'));
  const binDirectory = await ensurePostgres(say);
  const folder = await mkdtemp(join(tmpdir(), 'backplan-quickstart-'));
  await chmod(folder, 0o755);
  await mkdir(join(folder, 'schemas'));
  await copyFile(join(ROOT, 'schemas', 'plan.schema.json'), join(folder, 'schemas', 'plan.schema.json'));
  await mkdir(join(folder, 'plans'));
  const plan = join(folder, 'plans', 'crm-license-system.yaml');
  await copyFile(join(ROOT, 'plans', 'crm-license-system.yaml'), plan);

  title('1. A private PostgreSQL with a sample CRM licence database');
  const began = performance.now();
  await using server = await startPrivateServer({ binDirectory, signal: abort.signal });
  await server.load(DATABASE, join(ROOT, 'plans', 'crm-license-system.sql'));
  const connection = server.connection(DATABASE);
  timings.push({ what: 'start the server and load the sample', durationMs: performance.now() - began });
  say(`  ${server.version}, on a unix socket of its own`);
  await showState(connection);

  const env = {
    DATABASE_URL: server.url(DATABASE),
    BACKUP_DIR: join(folder, 'backups'),
    BACKPLAN_STATE: join(folder, 'state'),
  };

  title('2. The nightly job: backup → rehearsal in a sandbox → checks → retention');
  await expectCode(backplan(['run', plan, 'nightly'], env, folder), 0, 'the nightly job');
  await backplan(['backups', plan], env, folder);

  title('3. Something goes wrong: 200 users are deleted and a unique constraint is dropped');
  await damage(connection);
  await showState(connection);
  await expectCode(backplan(['check', plan], env, folder), 3, 'the check of the damaged database');

  title('4. The restore job: staging database → checks → promotion in one transaction');
  await expectCode(backplan(['run', plan, 'restore', '--yes'], env, folder), 0, 'the restore job');

  title('5. Production is whole again');
  await showState(connection);
  await expectCode(backplan(['check', plan], env, folder), 0, 'the check of the restored database');

  title('What happened');
  const width = Math.max(...timings.map(({ what }) => what.length));
  for (const { what, durationMs } of timings)
    say(`  ${what.padEnd(width)}  ${formatDuration(durationMs).padStart(7)}`);
  say(`\n  backups   ${env.BACKUP_DIR}\n  plan      ${plan}\n  runs, logs ${env.BACKPLAN_STATE}`);
  title('Try next');
  const prefix = `BACKUP_DIR=${env.BACKUP_DIR} BACKPLAN_STATE=${env.BACKPLAN_STATE} DATABASE_URL=${stripVTControlCharacters('postgresql://localhost/crm')}`;
  say(`  ${prefix} node bin/backplan.js backups ${plan}`);
  say(`  ${prefix} node bin/backplan.js runs ${plan} latest`);
  say(
    '  export DATABASE_URL=postgresql://USER:PASSWORD@HOST/DATABASE && node bin/backplan.js doctor plans/minimal.yaml',
  );
}

try {
  await main();
  say(styleText('dim', '\nThe private server is stopped; nothing is left running.'));
} catch (error) {
  const { message, hint, detail } = toBackplanError(error);
  process.stderr.write(`\n${[message, hint, detail].filter((line) => line !== undefined).join('\n')}\n`);
  process.exitCode = abort.signal.aborted ? 130 : 1;
}
