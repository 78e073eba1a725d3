/**
 * Processes that a run started and left behind. Every child carries its run's id in the environment; whoever has
 * that mark and started after the run did is ours, and nobody else is touched.
 * Source: https://man7.org/linux/man-pages/man5/proc_pid_environ.5.html
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { RUN_MARK } from '../process.ts';
import { startOf } from './process-identity.ts';

export interface MarkedProcess {
  readonly pid: number;
  /** Start time as in process-identity.ts; a signal is sent only while it is still the same. */
  readonly start: string;
  /** Command line, shortened, for messages. */
  readonly command: string;
}

/** Live processes with the mark of a run. Without /proc there is nothing to look at: empty. */
export function markedProcesses(run: string): MarkedProcess[] {
  const mark = Buffer.from(`\0${RUN_MARK}=${run}\0`);
  const found: MarkedProcess[] = [];
  for (const name of list('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const start = startOf(pid);
    if (start === undefined) continue;
    // Unreadable: another user's process or one that has just ended. Not ours to judge.
    const environment = read(`/proc/${name}/environ`);
    if (environment === undefined) continue;
    const framed = Buffer.concat([Buffer.from([0]), environment, Buffer.from([0])]);
    if (!framed.includes(mark) || startOf(pid) !== start) continue;
    found.push({ pid, start, command: commandOf(pid) });
  }
  return found;
}

/**
 * Ends what a dead run left running: TERM, after the grace KILL, until nothing is left or the time is up. New
 * children that a dying one still starts are found by looking again.
 * @returns those that were ended, and those that would not go
 */
export async function endMarkedProcesses(
  run: string,
  graceMs = 5000,
): Promise<{ ended: MarkedProcess[]; left: MarkedProcess[] }> {
  const seen = new Map<number, MarkedProcess>();
  const started = performance.now();
  for (;;) {
    const alive = markedProcesses(run);
    const elapsed = performance.now() - started;
    for (const each of alive) {
      const isNew = seen.get(each.pid)?.start !== each.start;
      seen.set(each.pid, each);
      if (elapsed > graceMs) signal(each, 'SIGKILL');
      else if (isNew) signal(each, 'SIGTERM');
    }
    if (alive.length === 0 || elapsed > 2 * graceMs) {
      const stubborn = new Set(alive.map(({ pid }) => pid));
      return { ended: [...seen.values()].filter(({ pid }) => !stubborn.has(pid)), left: alive };
    }
    await sleep(50);
  }
}

function signal({ pid, start }: MarkedProcess, name: NodeJS.Signals): void {
  // The pid may have been given to someone else since we looked.
  if (startOf(pid) !== start) return;
  try {
    process.kill(pid, name);
  } catch {
    // Gone, or not ours to signal.
  }
}

function commandOf(pid: number): string {
  const text = (read(`/proc/${pid}/cmdline`) ?? Buffer.alloc(0))
    .toString('utf8')
    .replaceAll('\0', ' ')
    .trim();
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
