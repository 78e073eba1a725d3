/**
 * The plans of the daemon: files, and folders of them, watched for changes. A plan that becomes invalid leaves the
 * last valid one running; a file that is being written is not read before it has come to rest.
 */
import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { LoadedPlan } from '../app.ts';
import { BackplanError, type ErrorRecord, toBackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';

/** A plan file as the daemon sees it now. */
export interface PlanView {
  readonly file: string;
  /** The plan that runs: the last one that was valid. Absent when the file never held one. */
  readonly plan?: Plan;
  readonly loadedAt?: Date;
  /** Why the file as it is now cannot be used. */
  readonly problem?: ErrorRecord;
}

/** Told in order; what it returns is waited for. */
export interface PlanListener {
  loaded(plan: Plan, previous: Plan | undefined, file: string): Promise<void>;
  invalid(file: string, error: ErrorRecord, running: Plan | undefined): void;
  removed(plan: Plan, file: string): void;
}

export interface PlanSet {
  views(): readonly PlanView[];
  get(name: string): Plan | undefined;
  /**
   * Looks at the files. `now`: what has changed is read at once, otherwise when it has not changed for a second.
   * Returns whether anything was loaded, refused or removed. Never rejects because of a file.
   */
  check(when: 'now' | 'settled'): Promise<boolean>;
  /** Calls `check` when something happens in the folders, and every few seconds anyway. Returns the end of it. */
  watch(onChange: () => void): () => void;
}

export interface PlanSetOptions {
  /** Plan files and folders with `*.yaml` and `*.yml`. */
  readonly sources: readonly string[];
  load(file: string): Promise<LoadedPlan>;
  readonly listener: PlanListener;
  readonly pollMs?: number;
}

/** A file must have looked the same for this long before it is believed. */
const SETTLE_MS = 1000;
/** Files whose times have not changed are read all the same after so many looks: some file systems tell little. */
const TRUST_LOOKS = 20;

interface State extends PlanView {
  plan?: Plan;
  loadedAt?: Date;
  problem?: ErrorRecord;
  /** Of the content that was loaded or refused last; undefined: none yet. */
  seen?: string;
  /** Content that waits to come to rest. */
  pending?: { readonly hash: string; readonly since: number };
  signature?: string;
  looks: number;
}

const MISSING = 'missing';

export function makePlanSet(options: PlanSetOptions): PlanSet {
  const { load, listener } = options;
  const sources = options.sources.map((source) => resolve(source));
  const states = new Map<string, State>();
  let work: Promise<boolean> = Promise.resolve(false);

  const check = async (when: 'now' | 'settled'): Promise<boolean> => {
    let changed = false;
    const { files, blind } = await expand(sources);
    for (const file of files) {
      let state = states.get(file);
      if (state === undefined) {
        state = { file, looks: 0 };
        states.set(file, state);
      }
      changed = (await look(state, when)) || changed;
    }
    for (const state of states.values()) {
      if (files.has(state.file) || blind.some((folder) => dirname(state.file) === folder)) continue;
      if (!isSettled(state, MISSING, when)) continue;
      states.delete(state.file);
      if (state.plan !== undefined) listener.removed(state.plan, state.file);
      changed = true;
    }
    return changed;
  };

  /** Loads a file that has changed and come to rest. */
  const look = async (state: State, when: 'now' | 'settled'): Promise<boolean> => {
    const signature = await signatureOf(state.file);
    state.looks += 1;
    const isTrusted =
      signature === state.signature && state.looks < TRUST_LOOKS && state.pending === undefined;
    if (isTrusted && when === 'settled') return false;
    state.signature = signature;
    state.looks = 0;
    const hash = await hashOf(state.file);
    // Asked to, what was refused is looked at again: the reason may lie in another file.
    if (hash === state.seen && (when === 'settled' || state.problem === undefined)) {
      delete state.pending;
      return false;
    }
    if (!isSettled(state, hash, when)) return false;
    await take(state, hash);
    return true;
  };

  const isSettled = (state: State, hash: string, when: 'now' | 'settled'): boolean => {
    const now = performance.now();
    if (when === 'settled' && state.pending?.hash !== hash) {
      state.pending = { hash, since: now };
      return false;
    }
    if (when === 'settled' && now - (state.pending?.since ?? now) < SETTLE_MS) return false;
    delete state.pending;
    return true;
  };

  const take = async (state: State, hash: string) => {
    const { file, plan: previous } = state;
    try {
      const { plan } = await load(file);
      assertOwnName(plan, file);
      // A file that holds another plan now: the old one is gone.
      if (previous !== undefined && previous.name !== plan.name) listener.removed(previous, file);
      state.plan = plan;
      state.loadedAt = new Date();
      delete state.problem;
      await listener.loaded(plan, previous?.name === plan.name ? previous : undefined, file);
    } catch (thrown) {
      const problem = toBackplanError(thrown).toRecord();
      state.problem = problem;
      listener.invalid(file, problem, previous);
    }
    // Written to while it was read: it is looked at again.
    if ((await hashOf(file)) === hash) state.seen = hash;
  };

  const assertOwnName = (plan: Plan, file: string) => {
    const other = [...states.values()].find((state) => state.file !== file && state.plan?.name === plan.name);
    if (other === undefined) return;
    throw new BackplanError(
      'PLAN_INVALID',
      `${file}: a plan "${plan.name}" is loaded from ${other.file} already`,
      {
        hint: 'Runs are told apart by the name of their plan: give one of the two another name.',
      },
    );
  };

  const inTurn = (when: 'now' | 'settled'): Promise<boolean> => {
    work = work.then(() => check(when));
    return work;
  };

  return {
    views: () => [...states.values()].sort((a, b) => a.file.localeCompare(b.file)),
    get: (name) => [...states.values()].find(({ plan }) => plan?.name === name)?.plan,
    check: inTurn,
    watch: (onChange) =>
      watchFolders({ sources, states, check: inTurn, onChange, pollMs: options.pollMs ?? 3000 }),
  };
}

interface WatchOptions {
  readonly sources: readonly string[];
  readonly states: ReadonlyMap<string, State>;
  check(when: 'settled'): Promise<boolean>;
  onChange(): void;
  readonly pollMs: number;
}

/** Being told is quick but not certain (network file systems, symbolic links), so files are looked at anyway. */
function watchFolders({ sources, states, check, onChange, pollMs }: WatchOptions): () => void {
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const watchers = new Map<string, FSWatcher>();
  const look = async () => {
    clearTimeout(timer);
    watchMore();
    if (await check('settled')) onChange();
    const isPending = [...states.values()].some(({ pending }) => pending !== undefined);
    if (!ended) plan(isPending ? SETTLE_MS + 50 : pollMs);
  };
  const plan = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => void look(), ms).unref();
  };
  const watchMore = () => {
    for (const folder of new Set([...sources, ...states.keys()].flatMap((path) => [path, dirname(path)]))) {
      // Files are watched by their folder: a replaced file is another one.
      if (watchers.has(folder) || states.has(folder) || !isWanted(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, () => plan(100));
        const drop = () => {
          watcher.close();
          watchers.delete(folder);
        };
        watcher.on('error', drop);
        watchers.set(folder, watcher);
      } catch {
        // Looked at every few seconds, then.
      }
    }
  };
  const isWanted = (folder: string) =>
    sources.includes(folder) || [...states.keys()].some((file) => dirname(file) === folder);
  watchMore();
  plan(pollMs);
  return () => {
    ended = true;
    clearTimeout(timer);
    for (const watcher of watchers.values()) watcher.close();
  };
}

/** The plan files that there are; `blind`: folders that cannot be read now, whose plans stay. */
async function expand(sources: readonly string[]): Promise<{ files: Set<string>; blind: string[] }> {
  const files = new Set<string>();
  const blind: string[] = [];
  for (const source of sources) {
    try {
      if (!(await stat(source)).isDirectory()) {
        files.add(source);
        continue;
      }
      for (const name of (await readdir(source)).sort()) {
        // Kubernetes keeps its own bookkeeping there, editors theirs: names with a dot in front.
        if (!/^[^.].*\.ya?ml$/.test(name)) continue;
        const file = join(source, name);
        if (await isFile(file)) files.add(file);
      }
    } catch {
      // Named by the person, so it is missed; a folder that was one before may come back.
      if (/\.ya?ml$/.test(source)) files.add(source);
      else blind.push(source);
    }
  }
  return { files, blind };
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    // A link whose target is being swapped.
    return false;
  }
}

async function signatureOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch {
    return MISSING;
  }
}

async function hashOf(file: string): Promise<string> {
  try {
    return createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  } catch {
    return MISSING;
  }
}
