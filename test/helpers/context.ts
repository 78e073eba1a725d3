/** A real StepContext without an engine: real connections, a real repository in a temporary folder, real clean-up. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { CheckDefinition, Plan, SuiteDefinition } from '../../src/plan/model.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { openRepository } from '../../src/repository/open.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { LogLevel, Progress } from '../../src/runs/record.ts';
import { Masker } from '../../src/secret.ts';
import type { DatabaseTarget, OwnedThing, StepContext } from '../../src/steps/step-kind.ts';
import { localStorage } from '../../src/storage/local.ts';
import { uniqueName } from './database.ts';

export interface TestContext extends StepContext {
  /** What steps said, with its level. */
  readonly logged: { level: LogLevel; message: string }[];
  readonly stderrLines: string[];
  readonly progressed: Progress[];
  readonly reports: unknown[];
  /** What is owned right now. */
  owned(): OwnedThing[];
  /** Everything that was ever owned. */
  readonly everOwned: OwnedThing[];
  /** What steps told notifiers; all of them took it. */
  readonly told: { names: readonly string[]; title: string; text: string }[];
  readonly repositoryFolder: string;
  /** Runs what steps deferred, last in first out. Happens at the end of the test file as well. */
  cleanUp(): Promise<void>;
  abort(reason?: unknown): void;
}

export interface TestContextOptions {
  /** Plan databases by key. */
  readonly databases: Readonly<Record<string, string>>;
  readonly maintenanceDatabase?: string;
  readonly schemaVersion?: string | { readonly sql: string };
  readonly settings?: Partial<Plan['settings']>;
  readonly step?: string;
  /** Use this folder as repository `local` instead of a fresh one. */
  readonly repositoryFolder?: string;
}

export function makeContext(options: TestContextOptions): TestContext {
  const folder = options.repositoryFolder ?? mkdtempSync(join(tmpdir(), 'backplan-test-'));
  const controller = new AbortController();
  const masker = new Masker();
  for (const url of Object.values(options.databases)) masker.addUrl(url);
  const plan: Plan = {
    file: join(folder, 'plan.yaml'),
    name: 'test-plan',
    timezone: 'UTC',
    settings: {
      binDirectories: [],
      sandbox: { parameters: {} },
      ...options.settings,
    },
    databases: Object.fromEntries(
      Object.entries(options.databases).map(([name, url]) => [
        name,
        {
          name,
          url,
          ...(options.maintenanceDatabase === undefined
            ? {}
            : { maintenanceDatabase: options.maintenanceDatabase }),
          ...(options.schemaVersion === undefined ? {} : { schemaVersion: options.schemaVersion }),
        },
      ]),
    ),
    repositories: { local: { name: 'local', path: folder } },
    suites: {},
    notifiers: {},
    jobs: {},
  };
  const databases = new Map<string, DatabaseTarget>();
  const repositories = new Map<string, Repository>();
  const owned = new Set<OwnedThing>();
  const deferred: (() => Promise<void>)[] = [];
  const logged: TestContext['logged'] = [];
  const log = (level: LogLevel, message: string) =>
    void logged.push({ level, message: masker.mask(message) });
  const context: TestContext = {
    run: { id: uniqueName('run'), job: 'test', startedAt: new Date() },
    step: options.step ?? 'step',
    plan,
    signal: controller.signal,
    masker,
    baseDirectory: folder,
    repositoryFolder: folder,
    logged,
    stderrLines: [],
    progressed: [],
    reports: [],
    everOwned: [],
    log: {
      debug: (message) => log('debug', message),
      info: (message) => log('info', message),
      warn: (message) => log('warn', message),
      error: (message) => log('error', message),
      log,
    },
    progress: (progress) => void context.progressed.push(progress),
    stderr: (line) => void context.stderrLines.push(line),
    database: (handle) => {
      const known = databases.get(handle);
      if (known !== undefined) return known;
      const url = options.databases[handle];
      if (url === undefined) throw new Error(`no database ${handle}`);
      const target: DatabaseTarget = {
        handle,
        kind: 'plan',
        database: handle,
        connection: parseConnection(url),
      };
      databases.set(handle, target);
      return target;
    },
    addDatabase: (target) => {
      databases.set(target.handle, target);
      return target;
    },
    repository: async (name) => {
      const repository = repositories.get(name) ?? openRepository(name, localStorage(folder));
      repositories.set(name, repository);
      return repository;
    },
    own: (thing) => {
      owned.add(thing);
      context.everOwned.push(thing);
      return { release: () => void owned.delete(thing) };
    },
    owned: () => [...owned],
    told: [],
    notify: async (names, { title, text }) => {
      context.told.push({ names, title, text });
      return names.map((notifier) => ({
        notifier,
        kind: 'webhook',
        delivered: true,
        said: '200 OK',
        attempts: 1,
        durationMs: 1,
      }));
    },
    defer: (cleanup) => void deferred.push(cleanup),
    checkKinds: new Map(),
    report: (report) => void context.reports.push(report),
    cleanUp: async () => {
      for (let next = deferred.pop(); next !== undefined; next = deferred.pop()) await next();
    },
    abort: (reason) => controller.abort(reason),
  };
  afterAll(async () => {
    await context.cleanUp();
    if (options.repositoryFolder === undefined) rmSync(folder, { recursive: true, force: true });
  });
  return context;
}

/** Suites of a plan that are lists of checks and nothing more. */
export function suitesOf(
  lists: Readonly<Record<string, readonly CheckDefinition[]>>,
): Record<string, SuiteDefinition> {
  return Object.fromEntries(
    Object.entries(lists).map(([name, checks]) => [name, { name, extends: [], params: {}, checks }]),
  );
}
