/** Makes sure that PostgreSQL's server and client binaries are there: for the quickstart and for the tests. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { BackplanError, toBackplanError } from '../errors.ts';
import { findTools } from '../postgres/tools.ts';

const NEEDED = ['initdb', 'pg_ctl', 'postgres', 'pg_dump', 'pg_restore', 'psql'];
const CLUSTER_CONFIG = '/etc/postgresql-common/createcluster.conf';

/**
 * Returns the folder of the binaries. Installs them through apt where they are missing and the user is root.
 * @throws TOOL_MISSING with the command to run, where it cannot install them itself
 */
export async function ensurePostgres(say: (line: string) => void): Promise<string> {
  try {
    return await locate();
  } catch (error) {
    if (toBackplanError(error).code !== 'TOOL_MISSING') throw error;
  }
  const apt = spawnSync('apt-get', ['--version']).status === 0;
  if (!apt || process.getuid?.() !== 0) {
    throw new BackplanError('TOOL_MISSING', 'PostgreSQL is not installed on this machine', {
      hint: apt
        ? 'Run: sudo apt-get update && sudo apt-get install -y postgresql'
        : 'Install PostgreSQL 14 or later, server and client (macOS: brew install postgresql@17), so that initdb and pg_dump are in PATH.',
    });
  }
  say('PostgreSQL is missing: installing it with apt-get (server and client tools, about 20 MB) …');
  // The package would create and start a server of its own; nothing here needs it.
  if (!existsSync(CLUSTER_CONFIG)) {
    mkdirSync('/etc/postgresql-common', { recursive: true });
    writeFileSync(CLUSTER_CONFIG, 'create_main_cluster = false\n');
  }
  for (const args of [
    ['update', '-q'],
    ['install', '-y', '-q', '--no-install-recommends', '-o', 'Dpkg::Options::=--force-confold', 'postgresql'],
  ]) {
    const { status, stdout, stderr } = spawnSync('apt-get', args, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      encoding: 'utf8',
    });
    if (status !== 0) {
      throw new BackplanError(
        'TOOL_MISSING',
        `apt-get ${args[0]} failed, so PostgreSQL could not be installed`,
        {
          detail: `${stdout}${stderr}`.split('\n').slice(-15).join('\n'),
          hint: 'Install the package postgresql by hand, then run this again.',
        },
      );
    }
  }
  return await locate();
}

async function locate(): Promise<string> {
  return (await findTools(undefined, { binDirectories: [], need: NEEDED })).directory;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    await ensurePostgres((line) => process.stdout.write(`${line}\n`));
  } catch (error) {
    const { message, hint, detail } = toBackplanError(error);
    process.stderr.write(
      [message, hint, detail]
        .filter((line) => line !== undefined)
        .join('\n')
        .concat('\n'),
    );
    process.exitCode = 6;
  }
}
