/**
 * Tells people what happens: decides who is told of what, what was told already, composes and sends. Never throws,
 * never rejects: what cannot be told is said to `onProblem`.
 */
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { BackplanError, toBackplanError } from '../errors.ts';
import type { Job, NotifierDefinition, Plan } from '../plan/model.ts';
import { resolveNotifier } from '../plan/resolve.ts';
import type { Reporter } from '../report/reporter.ts';
import type { RunRecord } from '../runs/record.ts';
import type { Journal } from '../runs/store.ts';
import type { Masker } from '../secret.ts';
import { shellWord } from '../shell.ts';
import { compose, composeAnnouncement } from './compose.ts';
import { type Deliverer, type Delivery, makeDeliverer } from './deliver.ts';
import { ends, eventFor, jobOf, keyOf, PROBLEMS, problemOf, receivers } from './events.ts';
import { type Entry, type Ledger, openLedger } from './ledger.ts';
import type { Message, MessageEvent, NotifierKind } from './notifier.ts';
import type { Announcement, Occurrence, ProvenBackup } from './occurrence.ts';
import { runReporter } from './reporter.ts';
import type { Surroundings } from './surroundings.ts';

export interface NotificationsOptions {
  /** As loaded: the environment of notifiers is read when something is sent. */
  readonly plan: Plan;
  readonly kinds: ReadonlyMap<string, NotifierKind>;
  readonly env: NodeJS.ProcessEnv;
  /** Learns the secrets of the notifiers. */
  readonly masker: Masker;
  readonly journal: Journal;
  readonly stateDirectory: string;
  /** True where commands find the state without being told. */
  readonly stateIsDefault: boolean;
  /** The newest proven backup of a database; null: there is none. May take long or fail. */
  provenOf(database: string): Promise<ProvenBackup | null>;
  /** What could not be told, and why; masked. */
  onProblem(message: string): void;
  /** What was told; masked. */
  onTold?(message: string): void;
  readonly now?: () => Date;
  readonly random?: () => number;
}

export interface Notifications {
  /** Tells those that want to know; returns at once. What is about a job goes to the notifiers that it names. */
  handle(occurrence: Occurrence): void;
  /** Listens to a run of a job, and hands on what happens in it. */
  reporter(job: Job): Reporter;
  /** Sends a text to notifiers, whatever their `on`, and waits for what becomes of it. */
  announce(
    names: readonly string[],
    announcement: Announcement,
    run?: { readonly id: string; readonly job: string },
  ): Promise<readonly Delivery[]>;
  /** Sends a test message, of which nothing is remembered. */
  test(name: string): Promise<Delivery>;
  /** Waits until all is delivered or given up, at most so many milliseconds; what is under way then is given up. */
  settle(milliseconds: number): Promise<void>;
  /** Waits like `settle`, and closes what is open. */
  close(milliseconds: number): Promise<void>;
}

/** Looking up a backup may take this long; a message without it is better than none. */
const PROVEN_MS = 5000;

export function makeNotifications(options: NotificationsOptions): Notifications {
  const { plan, kinds, masker, onProblem, now = () => new Date() } = options;
  const deliverer: Deliverer = makeDeliverer({
    kinds,
    baseDirectory: dirname(resolve(plan.file)),
    ...(options.random === undefined ? {} : { random: options.random }),
  });
  const ledger = lazyLedger(options);
  const underWay = new Set<Promise<unknown>>();
  // What happens is worked on in the order in which it happened.
  let last: Promise<unknown> = Promise.resolve();

  const track = <T>(work: Promise<T>): Promise<T> => {
    const settled = work.then(
      () => {},
      (error: unknown) => onProblem(masker.mask(`nobody could be told: ${toBackplanError(error).message}`)),
    );
    underWay.add(settled);
    void settled.finally(() => underWay.delete(settled));
    return work;
  };

  const resolved = async (name: string): Promise<NotifierDefinition | undefined> => {
    try {
      return await resolveNotifier(plan, name, options.env, masker);
    } catch (error) {
      const { message } = toBackplanError(error);
      onProblem(masker.mask(`notifier ${name} cannot be used: ${message}`));
      return undefined;
    }
  };

  const deliver = async (notifier: NotifierDefinition, message: Message): Promise<Delivery> => {
    const delivery = await deliverer.send(notifier, message);
    return { ...delivery, said: masker.mask(delivery.said) };
  };

  const told = (delivery: Delivery, message: Message): void => {
    const { notifier, delivered, said, attempts } = delivery;
    if (delivered) {
      options.onTold?.(`notifier ${notifier} was told: ${message.title} (${said})`);
      return;
    }
    const tries = attempts > 1 ? ` after ${attempts} tries` : '';
    onProblem(`notifier ${notifier} was not told: ${message.title} (${said}${tries})`);
  };

  async function tell(occurrence: Occurrence, notifiers: readonly NotifierDefinition[]): Promise<void> {
    const history = historyFor(occurrence, options.journal);
    const key = keyOf(plan, occurrence);
    const admitted: { notifier: NotifierDefinition; event: MessageEvent; entry: Entry; numbers: Numbers }[] =
      [];
    for (const notifier of notifiers) {
      const kind = kinds.get(notifier.kind);
      if (kind === undefined) continue;
      const open = ledger.openProblem(plan.name, notifier.name, key);
      const event = eventFor(occurrence, notifier, kind, open, (history?.failures ?? 0) > 0);
      if (ends(occurrence, open)) ledger.close(plan.name, notifier.name, key);
      if (event === undefined) continue;
      const problem = PROBLEMS.has(event) ? problemOf(occurrence, event) : undefined;
      const entry = {
        plan: plan.name,
        notifier,
        key,
        at: now(),
        ...(problem === undefined ? {} : { problem }),
      };
      const numbers = kind.everyOne === true ? NONE : ledger.admit(entry);
      if (numbers !== undefined) admitted.push({ notifier, event, entry, numbers });
    }
    if (admitted.length === 0) return;
    const surroundings = await around(occurrence, history);
    for (const { notifier, event, entry, numbers } of admitted) {
      const message = compose(occurrence, event, key, { ...surroundings, ...numbers });
      void track(
        (async () => {
          const ready = await resolved(notifier.name);
          if (ready === undefined) return ledger.undelivered(entry);
          const delivery = await deliver(ready, message);
          told(delivery, message);
          if (!delivery.delivered) ledger.undelivered(entry);
        })(),
      );
    }
  }

  async function around(occurrence: Occurrence, history: Surroundings['history']): Promise<Surroundings> {
    const databases = occurrence.type === 'runStarted' ? [] : databasesOf(plan, occurrence);
    const proven = await Promise.all(
      databases.map(async (name) => [name, await inTime(options.provenOf(name), PROVEN_MS)] as const),
    );
    return { ...bare(), proven: new Map(proven), ...(history === undefined ? {} : { history }) };
  }

  const bare = (): Surroundings => ({
    plan,
    host: hostname(),
    now: now(),
    stateOption: options.stateIsDefault ? '' : `--state ${shellWord(options.stateDirectory)}`,
    proven: new Map(),
    repeated: 0,
    dropped: 0,
  });

  const handle = (occurrence: Occurrence): void => {
    const notifiers = receivers(plan, occurrence);
    if (notifiers.length === 0) return;
    last = track(
      last.then(
        () => tell(occurrence, notifiers),
        () => tell(occurrence, notifiers),
      ),
    ).catch(() => {});
  };

  const settle = async (milliseconds: number): Promise<void> => {
    const all = async () => {
      while (underWay.size > 0) await Promise.all(underWay);
    };
    const waiting = all();
    if (await endsWithin(waiting, milliseconds)) return;
    deliverer.stop(new BackplanError('TIMEOUT', 'it took too long, and nobody waits any longer'));
    await endsWithin(waiting, 3000);
  };

  return {
    handle,
    reporter: (job) => runReporter(job, handle),
    announce: async (names, announcement, run) =>
      await track(
        Promise.all(
          names.map(async (name): Promise<Delivery> => {
            const ready = await resolved(name);
            const none = {
              notifier: name,
              kind: plan.notifiers[name]?.kind ?? '',
              attempts: 0,
              durationMs: 0,
            };
            if (ready === undefined) return { ...none, delivered: false, said: 'it cannot be used' };
            const key = `${plan.name}/message/${run?.job ?? ''}`;
            const numbers = kinds.get(ready.kind)?.everyOne
              ? NONE
              : ledger.admit({ plan: plan.name, notifier: ready, key, at: now() });
            if (numbers === undefined) {
              return { ...none, delivered: false, said: 'left out because of its limit' };
            }
            const message = composeAnnouncement(announcement, 'message', key, { ...bare(), ...numbers }, run);
            const delivery = await deliver(ready, message);
            told(delivery, message);
            return delivery;
          }),
        ),
      ),
    test: async (name) => {
      const ready = await resolveNotifier(plan, name, options.env, masker);
      const words: Announcement = {
        level: 'info',
        title: `TEST: ${name} of ${plan.name} works`,
        text: 'This is a test. Nothing has happened, and nothing is to be done.',
      };
      return await track(
        deliver(
          { ...ready, retry: { ...ready.retry, attempts: 1 } },
          composeAnnouncement(words, 'test', `${plan.name}/test/${name}`, bare(), undefined),
        ),
      );
    },
    settle,
    close: async (milliseconds) => {
      await settle(milliseconds);
      ledger.end();
    },
  };
}

type Numbers = Pick<Surroundings, 'repeated' | 'dropped'>;
const NONE: Numbers = { repeated: 0, dropped: 0 };

/** Without its file there is no memory, and everything is told. */
function lazyLedger({ stateDirectory, onProblem, masker }: NotificationsOptions) {
  let opened: Ledger | undefined;
  let broken = false;
  const use = <T>(work: (ledger: Ledger) => T, otherwise: T): T => {
    if (broken) return otherwise;
    try {
      opened ??= openLedger(stateDirectory);
      return work(opened);
    } catch (error) {
      broken = true;
      onProblem(
        masker.mask(
          `what was told is not remembered, so it may be told again: ${toBackplanError(error).message}`,
        ),
      );
      return otherwise;
    }
  };
  return {
    /** undefined: not to be told now. */
    admit: (entry: Entry): Numbers | undefined =>
      use<Numbers | undefined>((ledger) => {
        const admission = ledger.admit(entry);
        return admission.tell ? admission : undefined;
      }, NONE),
    undelivered: (entry: Entry) => use((ledger) => ledger.undelivered(entry), undefined),
    openProblem: (...where: Parameters<Ledger['openProblem']>) =>
      use((ledger) => ledger.openProblem(...where), undefined),
    close: (...where: Parameters<Ledger['close']>) => use((ledger) => ledger.close(...where), undefined),
    end: () => opened?.end(),
  };
}

/** The databases whose newest proven backup matters now. */
function databasesOf(plan: Plan, occurrence: Occurrence): string[] {
  if ('database' in occurrence) return [];
  const job = jobOf(occurrence);
  if (job === undefined) return [];
  const texts = (value: unknown): string[] =>
    typeof value === 'string'
      ? [value]
      : value !== null && typeof value === 'object'
        ? Object.values(value).flatMap(texts)
        : [];
  const named = new Set(Object.values(plan.jobs[job]?.steps ?? {}).flatMap((step) => texts(step.with)));
  return Object.keys(plan.databases)
    .filter((name) => named.has(name))
    .slice(0, 5);
}

/** How the runs of a job before this one went. */
function historyFor(occurrence: Occurrence, journal: Journal): Surroundings['history'] {
  if (occurrence.type !== 'runFinished') return undefined;
  const { id, plan, job, startedAt } = occurrence.run;
  let earlier: RunRecord[];
  try {
    earlier = journal.listRuns({ plan, job, status: ['succeeded', 'failed', 'interrupted'], limit: 100 });
  } catch {
    // A journal that cannot be read has been complained of by the run itself.
    return undefined;
  }
  const before = earlier.filter((run) => run.id !== id && run.startedAt <= startedAt);
  const good = before.findIndex(({ status }) => status === 'succeeded');
  const succeededAt = before[good]?.startedAt;
  return {
    failures: good === -1 ? before.length : good,
    ...(succeededAt === undefined ? {} : { succeededAt }),
  };
}

/** Its result, or undefined when it fails or takes too long. */
async function inTime<T>(work: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

/** Whether it ends in time. */
async function endsWithin(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  return (
    (await inTime(
      work.then(() => true),
      milliseconds,
    )) === true
  );
}
