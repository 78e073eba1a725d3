/** Settings of the daemon: flags, then the environment, then a small file, then defaults. */
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { BackplanError } from '../errors.ts';
import { Collector, formatDiagnostic } from '../plan/diagnostic.ts';
import { readPlanText } from '../plan/read.ts';
import { parseSource } from '../plan/source.ts';
import { durationSchema, type Infer, type JsonSchema } from '../schema.ts';
import { isRecord } from '../schema-walk.ts';
import { parseDuration } from '../units.ts';
import { compileSchema } from '../validator.ts';
import { filesOf, httpSettingsSchema } from './http/settings.ts';

/** The file of `--config`. Relative paths in it start at its folder. */
export const daemonSettingsSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'backplan daemon settings',
  description: 'Settings of `backplan daemon --config FILE`; flags and the environment win over them.',
  type: 'object',
  'x-expected': 'a map such as { plans: [./plans], grace: 5m }',
  additionalProperties: false,
  properties: {
    plans: {
      type: 'array',
      description: 'Plan files, and folders of them; used when the command line names none.',
      examples: [['/etc/backplan/plans']],
      minItems: 1,
      items: { type: 'string', minLength: 1 },
    },
    state: {
      type: 'string',
      minLength: 1,
      description: 'Folder of the run journal and logs, as --state and $BACKPLAN_STATE.',
      examples: ['/var/lib/backplan'],
    },
    grace: {
      ...durationSchema,
      description:
        'How long running jobs may go on after SIGTERM before they are cancelled, as --grace and $BACKPLAN_GRACE. Default: 30s.',
      examples: ['5m'],
    },
    maxRunning: {
      type: 'integer',
      minimum: 1,
      maximum: 10_000,
      description:
        'How many jobs run at once, as --max-running and $BACKPLAN_MAX_RUNNING; others wait in order. Default: as many as there are cores, at least 2.',
      examples: [4],
    },
    concurrencyGroups: {
      type: 'object',
      description: 'How many jobs of a group run at once. Default: one.',
      examples: [{ 'db-server-1': 2 }],
      additionalProperties: { type: 'integer', minimum: 1, maximum: 10_000 },
    },
    http: httpSettingsSchema,
  },
} as const satisfies JsonSchema & { $schema: string };

export type DaemonFile = Infer<typeof daemonSettingsSchema>;

export interface DaemonSettings {
  /** Plan files and folders of them. */
  readonly plans: readonly string[];
  /** As `App.stateDirectory` takes it. */
  readonly state: string | undefined;
  /** Milliseconds. */
  readonly graceMs: number;
  readonly maxRunning: number;
  readonly concurrencyGroups: Readonly<Record<string, number>>;
  /** The file as it is written, for services with settings of their own. */
  readonly file: DaemonFile;
}

/** What the command line says; undefined where it says nothing. */
export interface DaemonFlags {
  readonly plans: readonly string[];
  readonly state: string | undefined;
  readonly graceMs: number | undefined;
  readonly maxRunning: number | undefined;
  readonly config: string | undefined;
}

/** @throws USAGE without plans, INPUT_INVALID for the environment, PLAN_INVALID and PLAN_UNREADABLE for the file */
export async function readSettings(
  flags: DaemonFlags,
  env: NodeJS.ProcessEnv = process.env,
): Promise<DaemonSettings> {
  const config = flags.config ?? (env.BACKPLAN_CONFIG || undefined);
  const file = config === undefined ? {} : await readFile(config);
  const plans = flags.plans.length > 0 ? flags.plans : (file.plans ?? []);
  if (plans.length === 0) {
    throw new BackplanError('USAGE', 'no plan is named', {
      hint: 'Name plan files or a folder of them: backplan daemon /etc/backplan/plans; or set `plans` in the file of --config.',
    });
  }
  const number = (name: string) => fromEnvironment(env, name, wholeNumber);
  return {
    plans,
    state: flags.state ?? (env.BACKPLAN_STATE || undefined) ?? file.state,
    graceMs:
      flags.graceMs ??
      fromEnvironment(env, 'BACKPLAN_GRACE', parseDuration) ??
      parseDuration(file.grace ?? '30s'),
    maxRunning:
      flags.maxRunning ??
      number('BACKPLAN_MAX_RUNNING') ??
      file.maxRunning ??
      Math.max(2, availableParallelism()),
    concurrencyGroups: file.concurrencyGroups ?? {},
    file,
  };
}

function fromEnvironment<T>(env: NodeJS.ProcessEnv, name: string, parse: (text: string) => T): T | undefined {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  try {
    return parse(text);
  } catch (cause) {
    throw new BackplanError('INPUT_INVALID', `$${name}: ${(cause as Error).message}`, { cause });
  }
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new Error(`"${text}" is not a whole number from 1 to 9999`);
  return Number(text);
}

/** Every mistake at once, with its line, as in a plan. */
async function readFile(path: string): Promise<DaemonFile> {
  const text = await readPlanText(path);
  const { source, problems } = parseSource(path, text);
  const collector = new Collector(source);
  for (const { path: where, message, hint, span } of problems) {
    collector.report(where, message, { hint, span });
  }
  const value = source.value ?? {};
  const validate = await compileSchema(daemonSettingsSchema);
  for (const { path: where, message, hint, at } of validate(value)) {
    collector.report(where, message, { at, ...(hint === undefined ? {} : { hint }) });
  }
  if (collector.hasErrors || !isRecord(value)) {
    const diagnostics = collector.list();
    throw new BackplanError('PLAN_INVALID', `${path} is no valid file of settings; nothing was started`, {
      detail: diagnostics.map((each) => formatDiagnostic(each, text, false)).join('\n'),
      hint: 'schemas/daemon.schema.json says what may stand in it.',
    });
  }
  const file = value as DaemonFile;
  const from = (relative: string) => resolve(dirname(path), relative);
  return {
    ...file,
    ...(file.plans === undefined ? {} : { plans: file.plans.map(from) }),
    ...(file.state === undefined ? {} : { state: from(file.state) }),
    ...(file.http === undefined ? {} : { http: filesOf(file.http, from) }),
  };
}
