/**
 * Which process is this, and does it still live? A pid alone does not tell: pids are used again after hours, and
 * after a reboot or in another container they mean something else.
 * Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html (field 22, starttime), proc_sys_kernel (boot_id).
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  readonly host: string;
  /** Tells two machines of the same name apart; null where the system has no id. */
  readonly machine: string | null;
  /** Changes with every boot; null outside Linux, where start times are dates. */
  readonly boot: string | null;
  /** Containers on one kernel count their processes separately; null outside Linux. */
  readonly namespace: string | null;
  readonly pid: number;
  /** When it started: clock ticks since boot (Linux) or a date; null when it cannot be known. */
  readonly start: string | null;
}

/** `elsewhere`: another host or container; only a heartbeat can tell. */
export type Liveness = 'alive' | 'dead' | 'elsewhere';

let own: ProcessIdentity | undefined;

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  if (own?.pid !== process.pid) own = identityOf(process.pid);
  return own;
}

/** The identity of a process on this host. */
export function identityOf(pid: number): ProcessIdentity {
  const machineId = readText('/etc/machine-id');
  return {
    host: hostname(),
    // The id itself is confidential by its manual page (machine-id(5)); a hash serves as well.
    machine:
      machineId === undefined || machineId === ''
        ? null
        : createHash('sha256').update(`backplan:${machineId}`).digest('hex').slice(0, 16),
    boot: readText('/proc/sys/kernel/random/boot_id') ?? null,
    namespace: readLink('/proc/self/ns/pid') ?? null,
    pid,
    start: startOf(pid) ?? null,
  };
}

/** Does that process still live? Says `dead` only when it is certain. */
export function liveness(identity: ProcessIdentity): Liveness {
  const where = locate(identity, ownIdentity());
  if (where !== 'here') return where;
  const start = startOf(identity.pid);
  if (start === undefined) return exists(identity.pid) ? 'alive' : 'dead';
  return identity.start === null || identity.start === start ? 'alive' : 'dead';
}

function locate(identity: ProcessIdentity, here: ProcessIdentity): 'here' | 'elsewhere' | 'dead' {
  if (identity.boot === null && here.boot === null) return identity.host === here.host ? 'here' : 'elsewhere';
  if (identity.boot === here.boot) return identity.namespace === here.namespace ? 'here' : 'elsewhere';
  // Another boot: of this very machine, then nothing of it lives any more; or of another machine.
  const sameMachine =
    identity.host === here.host && identity.machine !== null && identity.machine === here.machine;
  return sameMachine ? 'dead' : 'elsewhere';
}

/** When a process on this host started, or undefined when there is none (a zombie counts as none). */
export function startOf(pid: number): string | undefined {
  return process.platform === 'linux' ? startFromProc(pid) : startFromPs(pid);
}

function startFromProc(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, start] = [fields[0], fields[19]];
  return state === 'Z' || state === 'X' ? undefined : start;
}

/** For systems without /proc. */
export function startFromPs(pid: number): string | undefined {
  try {
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    return text === '' ? undefined : text;
  } catch {
    return undefined;
  }
}

/** For a process whose start is not known. */
function exists(pid: number): boolean {
  // /proc shows it, and yet it has no start: a zombie.
  if (readText(`/proc/${pid}/stat`) !== undefined) return false;
  try {
    process.kill(pid, 0);
    // It takes our signal although /proc does not show it: it ended this instant, unless there is no /proc at all.
    return readText('/proc/self/stat') === undefined;
  } catch (error) {
    // With hidepid, other users' processes are missing from /proc but still answer a signal this way.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
