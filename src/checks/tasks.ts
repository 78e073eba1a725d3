/** Which checks are done together: scans of one table, catalog checks of one kind; the longest first. */
import type { CheckKind, CheckResult } from './check-kind.ts';
import type { Entry } from './entries.ts';
import type { Reader, Session, Task } from './session.ts';

/** A SELECT may have 1664 columns. Source: https://www.postgresql.org/docs/current/limits.html */
const MAX_COLUMNS = 1600;
/** Characters of one statement: what a server parses and plans without a second thought. */
const MAX_CHARACTERS = 100_000;

/** Looks at the catalog with one session; checks that are done by that are in `done`. */
export async function planTasks(
  session: Session,
  entries: readonly Entry[],
): Promise<{ tasks: Task[]; done: readonly (readonly [Entry, CheckResult])[] }> {
  const scanning = entries.filter(({ check }) => check?.kind.scan !== undefined);
  const { readers, done } = scanning.length > 0 ? await session.prepare(scanning) : { readers: [], done: [] };
  const scans = fuse(readers);
  const others = group(entries.filter(({ check }) => check?.kind.scan === undefined));
  if (scans.length + others.length < 2 || scans.length === 0) return { tasks: [...scans, ...others], done };
  // Sub-selects have no size that could be looked up.
  const tables = new Set(scans.map(tableOf).filter((table) => !table.startsWith('(')));
  const sizes = await session.sizes([...tables]);
  const bytes = (task: ScanTask) => sizes.get(tableOf(task)) ?? 0;
  return { tasks: [...scans.sort((a, b) => bytes(b) - bytes(a)), ...others], done };
}

type ScanTask = Task & { readonly readers: readonly Reader[] };

function tableOf({ readers }: ScanTask): string {
  return readers[0]?.scan.from ?? '';
}

/** Checks over one table share a scan as far as one statement goes; those with other timeouts do not. */
function fuse(readers: readonly Reader[]): ScanTask[] {
  const tasks: ScanTask[] = [];
  const open = new Map<string, { readers: Reader[]; columns: number; characters: number }>();
  for (const reader of readers) {
    const { entry, scan } = reader;
    const key = JSON.stringify([
      scan.from,
      scan.part,
      entry.timeoutMs,
      entry.withinMs,
      entry.trustIndexes,
      ...(scan.alone === true ? [tasks.length] : []),
    ]);
    const columns = scan.columns.length;
    const characters = scan.columns.reduce((sum, column) => sum + column.length + 40, 0);
    let task = open.get(key);
    if (
      task === undefined ||
      task.columns + columns > MAX_COLUMNS ||
      task.characters + characters > MAX_CHARACTERS
    ) {
      task = { readers: [], columns: 0, characters: 0 };
      open.set(key, task);
      tasks.push(task);
    }
    task.readers.push(reader);
    task.columns += columns;
    task.characters += characters;
  }
  return tasks;
}

function group(entries: readonly Entry[]): Task[] {
  const tasks: { entries: Entry[] }[] = [];
  const together = new Map<CheckKind, Entry[]>();
  for (const entry of entries) {
    const kind = entry.check?.kind;
    const known = kind?.runAll === undefined ? undefined : together.get(kind);
    if (known !== undefined) {
      known.push(entry);
      continue;
    }
    const task = [entry];
    tasks.push({ entries: task });
    if (kind?.runAll !== undefined) together.set(kind, task);
  }
  return tasks;
}

/** What a lost connection has not done of a task, one by one: any of it may be what ended the connection. */
export function leftOf(task: Task, done: ReadonlySet<Entry>): Task[] {
  return 'readers' in task
    ? task.readers.filter(({ entry }) => !done.has(entry)).map((reader) => ({ readers: [reader] }))
    : task.entries.filter((entry) => !done.has(entry)).map((entry) => ({ entries: [entry] }));
}
