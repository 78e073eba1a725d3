/** Runs jobs made of in-test step kinds, with a real journal and real locks. */
import { join } from 'node:path';
import { type ExecuteOptions, executeJob } from '../../src/engine/execute.ts';
import { BackplanError } from '../../src/errors.ts';
import type { InputDefinition, Job, Plan, Step } from '../../src/plan/model.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { type Locks, openLocks } from '../../src/runs/lock.ts';
import type { Outputs, RunEvent, RunRecord } from '../../src/runs/record.ts';
import { lockFile } from '../../src/runs/run-id.ts';
import { type Journal, openJournal } from '../../src/runs/store.ts';
import { Masker } from '../../src/secret.ts';
import type { Resource, StepContext, StepKind } from '../../src/steps/step-kind.ts';

export type Work = (params: Record<string, unknown>, context: StepContext) => Promise<Outputs | undefined>;

/** A step and what it does. */
export interface TestStep extends Partial<Omit<Step, 'name' | 'uses'>> {
  readonly run?: Work;
  /** A kind of its own instead of one made of `run`. */
  readonly kind?: StepKind;
  readonly writes?: readonly Resource[];
}

export type TestSteps = Readonly<Record<string, TestStep>>;

export interface TestJob extends Partial<Omit<Job, 'steps' | 'onFailure' | 'inputs'>> {
  readonly steps: TestSteps;
  readonly onFailure?: TestSteps;
  readonly inputs?: Readonly<Record<string, Partial<InputDefinition>>>;
}

export interface TestRun {
  readonly record: RunRecord;
  readonly events: readonly RunEvent[];
  readonly journal: Journal;
}

export interface World {
  readonly state: string;
  readonly journal: Journal;
  readonly locks: Locks;
}

/** A state folder that is removed at the end of the file. */
export async function makeWorld(): Promise<World> {
  // Imported here, because programs that run without vitest use this file as well.
  const { temporaryFolder } = await import('../helpers/database.ts');
  const state = temporaryFolder();
  return { state, journal: await openJournal(state), locks: openLocks(lockFile(state)) };
}

export function makePlan(change: Partial<Plan> = {}): Plan {
  return {
    file: join(import.meta.dirname, 'plan.yaml'),
    name: 'test-plan',
    timezone: 'Europe/Berlin',
    settings: { binDirectories: [], sandbox: { parameters: {} } },
    databases: { crm: { name: 'crm', url: 'postgresql://app:s3cret-word@db.example:5433/crm' } },
    repositories: {},
    suites: {},
    notifiers: {},
    jobs: {},
    ...change,
  };
}

/** Every step gets a kind of its own, called like the step. */
export function makeJob(definition: TestJob): { job: Job; kinds: Map<string, StepKind> } {
  const kinds = new Map<string, StepKind>();
  const toSteps = (steps: TestSteps) =>
    Object.fromEntries(
      Object.entries(steps).map(([name, { run, kind, writes, ...step }]) => {
        kinds.set(name, kind ?? kindOf(name, run, writes));
        return [
          name,
          { name, uses: name, with: {}, needs: [], continueOnError: false, ...step } satisfies Step,
        ];
      }),
    );
  const inputs = Object.fromEntries(
    Object.entries(definition.inputs ?? {}).map(([name, input]) => [
      name,
      { name, type: 'string', optional: false, ...input } satisfies InputDefinition,
    ]),
  );
  const job: Job = {
    name: 'job',
    notify: [],
    ...definition,
    inputs,
    steps: toSteps(definition.steps),
    onFailure: toSteps(definition.onFailure ?? {}),
  };
  return { job, kinds };
}

function kindOf(name: string, run: Work = async () => ({}), writes?: readonly Resource[]): StepKind {
  return {
    kind: name,
    summary: `does ${name}`,
    with: { type: 'object', additionalProperties: true },
    outputs: {},
    ...(writes === undefined ? {} : { writes: () => writes }),
    run: async (params, context) => (await run(params as Record<string, unknown>, context)) ?? {},
  };
}

export async function runJob(
  definition: TestJob,
  options: Partial<ExecuteOptions> & { world?: World } = {},
): Promise<TestRun> {
  const { world: given, ...rest } = options;
  const world = given ?? (await makeWorld());
  const { job, kinds } = makeJob(definition);
  const plan = options.plan ?? makePlan();
  const masker = new Masker();
  for (const { url } of Object.values(plan.databases)) masker.addUrl(url);
  const events: RunEvent[] = [];
  try {
    const record = await executeJob({
      plan,
      job,
      kinds,
      inputs: {},
      checkKinds: new Map(),
      journal: world.journal,
      locksFor: async (resource) => ({
        locks: world.locks,
        key:
          'repository' in resource
            ? `${resource.repository}/${resource.database}`
            : `database:${resource.database}`,
      }),
      connection: (name) => parseConnection(plan.databases[name]?.url ?? ''),
      repository: async (name) => {
        throw new BackplanError('REPOSITORY_UNUSABLE', `no repository ${name} here`);
      },
      notify: async () => [],
      signal: new AbortController().signal,
      trigger: 'manual',
      masker,
      stateDirectory: world.state,
      graceMs: 1000,
      ...rest,
      listeners: [(event) => events.push(event), ...(options.listeners ?? [])],
    });
    return { record, events, journal: world.journal };
  } finally {
    if (given === undefined) {
      world.locks.close();
      world.journal.close();
    }
  }
}

/** `{a: 'succeeded', b: 'skipped'}`. */
export function statuses(record: RunRecord): Record<string, string> {
  return Object.fromEntries(
    record.steps.map((step) => [step.name, step.tolerated ? 'tolerated' : step.status]),
  );
}

export function fails(
  code: ConstructorParameters<typeof BackplanError>[0] = 'STEP_FAILED',
  message = 'it broke',
): Work {
  return async () => {
    throw new BackplanError(code, message);
  };
}

/** Ends only when it is told to. */
export const waitsForAbort: Work = (_params, { signal }) =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

export async function caught(work: Promise<unknown>): Promise<BackplanError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof BackplanError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}
