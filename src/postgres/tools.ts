/**
 * Finds pg_dump, pg_restore and friends and chooses a version that fits the server.
 *
 * pg_dump refuses a server of a newer major version, so a tool must never be older than the server; of those that
 * fit, the lowest major is taken, because newer tools write settings that older servers do not know
 * (`transaction_timeout` since 17).
 * Source: https://www.postgresql.org/docs/current/app-pgdump.html (Notes).
 */
import { access, constants, readdir, realpath } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { BackplanError } from '../errors.ts';
import { runTool } from '../process.ts';

/** The programs of one installation. */
export interface Tools {
  /** For people: `15.18`. */
  readonly version: string;
  /** As `server_version_num` counts: 150018. */
  readonly versionNum: number;
  readonly directory: string;
  /** Absolute path of a program of this installation. */
  path(name: string): string;
}

export interface FindOptions {
  /** Folders of the plan's settings, searched first; if one of them fits, nothing else is looked at. */
  readonly binDirectories: readonly string[];
  /** Programs that must be there. Default: pg_dump. The first one tells the version. */
  readonly need?: readonly string[];
  /** Choose this major version where it exists, otherwise the lowest that fits. */
  readonly prefer?: number;
  /** PATH and so on. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

/** 150018 → 15, 90624 → 9. */
export function major(versionNum: number): number {
  return Math.floor(versionNum / 10_000);
}

/** 150018 → `15.18`. */
export function versionText(versionNum: number): string {
  return versionNum >= 100_000
    ? `${major(versionNum)}.${versionNum % 10_000}`
    : `${major(versionNum)}.${Math.floor(versionNum / 100) % 100}.${versionNum % 100}`;
}

/** `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 150018; development versions count as their major. */
export function parseVersion(text: string): { version: string; versionNum: number } | undefined {
  const match = /\) (\d+)(?:\.(\d+))?((?:devel|beta\d+|rc\d+)?)/.exec(text);
  if (match?.[1] === undefined) return undefined;
  const [, first, second, suffix = ''] = match;
  return {
    version: `${first}${second === undefined ? '' : `.${second}`}${suffix}`,
    versionNum: Number(first) * 10_000 + Number(second ?? 0),
  };
}

/**
 * The tools for a server of `minimum` (its `server_version_num`; undefined: any version).
 * @throws TOOL_MISSING when there are none, TOOL_TOO_OLD when all are older than the server
 */
export async function findTools(minimum: number | undefined, options: FindOptions): Promise<Tools> {
  const need = options.need ?? ['pg_dump'];
  const configured = await installations(options.binDirectories, need);
  const others = await installations(await commonDirectories(options.env ?? process.env), need);
  const fits = ({ versionNum }: Tools) => minimum === undefined || major(versionNum) >= major(minimum);
  const found =
    choose(configured.filter(fits), options.prefer) ?? choose(others.filter(fits), options.prefer);
  if (found !== undefined) return found;
  const wanted = minimum === undefined ? undefined : major(minimum);
  const names = need.join(', ');
  const all = [...configured, ...others];
  if (all.length === 0) {
    throw new BackplanError('TOOL_MISSING', `${names} not found on this machine`, {
      hint: installHint(need, wanted),
      detail: `searched: settings.binDirectories, PATH, ${PATTERNS.map(({ parent, child }) => join(parent, child)).join(', ')}`,
    });
  }
  throw new BackplanError(
    'TOOL_TOO_OLD',
    `${names} must be version ${wanted} or newer, but this machine has only ${all
      .map((each) => `${each.version} (${each.directory})`)
      .join(', ')}`,
    { hint: installHint(need, wanted) },
  );
}

/** What to type to get the programs; `wanted` is a major version. */
export function installHint(need: readonly string[], wanted: number | undefined): string {
  const server = need.some((name) => SERVER_PROGRAMS.has(name));
  const version = wanted === undefined ? '' : `-${wanted}`;
  const debian = `postgresql${server ? '' : '-client'}${version}`;
  const brew = wanted === undefined ? 'postgresql' : `postgresql@${wanted}`;
  return (
    `Install them (Debian, Ubuntu: apt-get install ${debian}, from apt.postgresql.org where the distribution ` +
    `is older; macOS: brew install ${brew}), or point settings.binDirectories in the plan at their folder.`
  );
}

const SERVER_PROGRAMS = new Set(['initdb', 'postgres', 'pg_ctl']);

/** Where package managers put them: every `child` under every folder of `parent` that matches. */
const PATTERNS: readonly { parent: string; child: string; matches: RegExp }[] = [
  { parent: '/usr/lib/postgresql', child: '*/bin', matches: /^\d+(\.\d+)?$/ },
  { parent: '/opt/homebrew/opt', child: 'postgresql@*/bin', matches: /^(postgresql(@\d+)?|libpq)$/ },
  { parent: '/usr/local/opt', child: 'postgresql@*/bin', matches: /^(postgresql(@\d+)?|libpq)$/ },
  { parent: '/usr', child: 'pgsql-*/bin', matches: /^pgsql-\d+(\.\d+)?$/ },
  {
    parent: '/Applications/Postgres.app/Contents/Versions',
    child: '*/bin',
    matches: /^(\d+(\.\d+)?|latest)$/,
  },
  { parent: '/usr/libexec', child: 'postgresql*', matches: /^postgresql\d*$/ },
  { parent: '/usr/local/pgsql', child: 'bin', matches: /^bin$/ },
];

/** The folders of PATH; relative ones would depend on where one stands. */
export function pathFolders(env: NodeJS.ProcessEnv = process.env): string[] {
  return (env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
}

async function commonDirectories(env: NodeJS.ProcessEnv): Promise<string[]> {
  const directories = pathFolders(env);
  for (const { parent, child, matches } of PATTERNS) {
    const names = await readdir(parent).catch(() => []);
    const suffix = child.endsWith('/bin') ? 'bin' : '';
    directories.push(...names.filter((name) => matches.test(name)).map((name) => join(parent, name, suffix)));
  }
  return directories;
}

/** The installations among some folders that have all the needed programs, each once. */
async function installations(directories: readonly string[], need: readonly string[]): Promise<Tools[]> {
  const found: Tools[] = [];
  const seen = new Set<string>();
  for (const directory of directories) {
    const tools = await inspect(directory, need);
    if (tools === undefined || seen.has(tools.directory)) continue;
    seen.add(tools.directory);
    found.push(tools);
  }
  return found;
}

async function inspect(directory: string, need: readonly string[]): Promise<Tools | undefined> {
  const [first] = need;
  if (first === undefined) return undefined;
  const real: string[] = [];
  for (const name of need) {
    const path = join(directory, name);
    const target = await realpath(path).catch(() => undefined);
    if (target === undefined || !(await executable(target))) return undefined;
    // Debian's /usr/bin/pg_dump picks a version by a configuration of its own; the real ones are found anyway.
    if (target.endsWith('/pg_wrapper')) return undefined;
    real.push(target);
  }
  const version = await versionOf(real[0] ?? '');
  if (version === undefined) return undefined;
  // Homebrew and others link single programs into a common folder: what counts is where they really are.
  const home = join(real[0] ?? '', '..');
  const together = real.every((path) => join(path, '..') === home);
  const base = together ? home : directory;
  return { ...version, directory: base, path: (name) => join(base, name) };
}

async function executable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** path → version. A daemon must notice an upgrade, so nothing is kept longer than a minute. */
const versions = new Map<string, { at: number; version: ReturnType<typeof parseVersion> }>();

async function versionOf(path: string): Promise<ReturnType<typeof parseVersion>> {
  const known = versions.get(path);
  if (known !== undefined && performance.now() - known.at < 60_000) return known.version;
  const version = await runTool({
    command: path,
    args: ['--version'],
    signal: AbortSignal.timeout(10_000),
  }).then(
    ({ stdout }) => parseVersion(stdout),
    // What does not start is no tool; the message then lists what is there.
    () => undefined,
  );
  versions.set(path, { at: performance.now(), version });
  return version;
}

function choose(tools: readonly Tools[], prefer: number | undefined): Tools | undefined {
  const preferred = tools.filter(({ versionNum }) => prefer !== undefined && major(versionNum) === prefer);
  const pool = preferred.length > 0 ? preferred : tools;
  const lowest = Math.min(...pool.map(({ versionNum }) => major(versionNum)));
  // Of one major, the newest minor: it has the fixes.
  return pool
    .filter(({ versionNum }) => major(versionNum) === lowest)
    .sort((a, b) => b.versionNum - a.versionNum)[0];
}
