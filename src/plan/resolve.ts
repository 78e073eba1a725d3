/**
 * The environment of a run: `${NAME}`, `${NAME:-default}` and `${file:/path}` get their values, secrets become known
 * to the masker, relative folders become absolute. Everything that is missing is told at once.
 */
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { BackplanError } from '../errors.ts';
import type { JsonSchema } from '../schema.ts';
import { isRecord, own } from '../schema-walk.ts';
import type { Masker } from '../secret.ts';
import { suggest } from '../suggest.ts';
import { compileSchema } from '../validator.ts';
import { deepFreeze } from './build.ts';
import { formatPath } from './diagnostic.ts';
import { settleEnvironment } from './fit.ts';
import type { CheckDefinition, Job, NotifierDefinition, Plan, Step } from './model.ts';
import { type Origin, originOf, pathKey } from './origin.ts';
import { at, type Path, type Span } from './source.ts';
import { suiteClosure } from './suites.ts';
import { formatTemplate, hasExpression, type Part, parseTemplate } from './template.ts';

export interface ResolveOptions {
  /** Resolve this job's steps and the suites it uses as well. It need not be one of the plan's. */
  readonly job?: Job;
  /** Only these repositories, and nothing else. */
  readonly repositories?: readonly string[];
}

/** Which parts of a plan were resolved already: a value from the environment is never read as a template again. */
const resolvedParts = new WeakMap<Plan, ReadonlySet<string>>();

/**
 * Returns a plan whose databases, repositories and settings hold their values, and with `job` that job (under
 * `plan.jobs`) and its suites. Other jobs stay as written, and so do notifiers: what they need is not asked for.
 * Values that are secret by the schema, and all that come from files, are added to the masker.
 * @throws ENV_MISSING naming every variable and file that is missing, with its place in the plan; INPUT_INVALID when
 * a value does not fit the check that takes it
 */
export async function resolveEnvironment(
  plan: Plan,
  env: NodeJS.ProcessEnv,
  masker: Masker,
  options: ResolveOptions = {},
): Promise<Plan> {
  const resolver = new Resolver(plan, env, masker);
  const done = new Set(resolvedParts.get(plan));
  const result = await resolver.plan(options, done);
  resolver.throwIfMissing();
  const frozen = deepFreeze(result);
  resolvedParts.set(frozen, done);
  return frozen;
}

/**
 * The settings of one notifier with their values; its secrets are added to the masker. Apart from the rest of the
 * plan, because a notifier that cannot be reached must not keep a backup from being made.
 * @throws ENV_MISSING; INPUT_INVALID when a value from the environment does not fit
 */
export async function resolveNotifier(
  plan: Plan,
  name: string,
  env: NodeJS.ProcessEnv,
  masker: Masker,
): Promise<NotifierDefinition> {
  const notifier = plan.notifiers[name];
  if (notifier === undefined) throw new BackplanError('INPUT_INVALID', `the plan has no notifier "${name}"`);
  const resolver = new Resolver(plan, env, masker);
  const resolved = await resolver.notifier(notifier);
  resolver.throwIfMissing();
  return deepFreeze(resolved);
}

interface Missing {
  readonly message: string;
  readonly variable?: string;
  readonly path: Path;
  readonly part: { readonly start: number; readonly end: number };
}

class Resolver {
  readonly #plan: Plan;
  readonly #env: NodeJS.ProcessEnv;
  readonly #masker: Masker;
  readonly #origin: Origin | undefined;
  readonly #folder: string;
  readonly #missing: Missing[] = [];
  readonly #unfit: string[] = [];

  constructor(plan: Plan, env: NodeJS.ProcessEnv, masker: Masker) {
    this.#plan = plan;
    this.#env = env;
    this.#masker = masker;
    this.#origin = originOf(plan);
    this.#folder = dirname(plan.file);
  }

  async plan({ job, repositories: only }: ResolveOptions, done: Set<string>): Promise<Plan> {
    const plan = this.#plan;
    if (only !== undefined && job === undefined) {
      return { ...plan, repositories: await this.#repositories((name) => only.includes(name), done) };
    }
    const base = done.has('plan') ? plan : await this.#base(done);
    done.add('plan');
    if (job === undefined) return base;
    const suites = { ...base.suites };
    const used = suiteClosure(
      base.suites,
      Object.keys(base.suites).filter((name) => usesSuite(job, name)),
    );
    for (const name of used) {
      const suite = base.suites[name];
      if (suite === undefined || done.has(`suite ${name}`)) continue;
      done.add(`suite ${name}`);
      const listed = Array.isArray(at(this.#origin?.source.value, ['suites', name]));
      const place = listed ? ['suites', name] : ['suites', name, 'checks'];
      const checks = suite.checks.map(async (check, index) => {
        const path = [...place, index];
        const shared =
          check.shared === undefined ? {} : { shared: await this.#record(check.shared, path, true) };
        return { ...check, with: await this.#params(check, [...path, check.kind]), ...shared };
      });
      const params = await this.#record(suite.params, ['suites', name, 'params']);
      suites[name] = { ...suite, params, checks: await Promise.all(checks) };
    }
    const resolved = done.has(`job ${job.name}`) ? job : await this.#job(job);
    done.add(`job ${job.name}`);
    return { ...base, suites, jobs: { ...base.jobs, [job.name]: resolved } };
  }

  async #base(done: Set<string>): Promise<Plan> {
    const { settings, databases } = this.#plan;
    const { sandbox, scratchDirectory } = settings;
    const text = async (value: string | undefined, path: Path) =>
      value === undefined ? undefined : await this.#text(value, path, false);
    const folder = async (value: string | undefined, path: Path) => {
      const resolved = await text(value, path);
      return resolved === undefined ? undefined : this.#absolute(resolved);
    };
    return {
      ...this.#plan,
      settings: {
        ...settings,
        binDirectories: await Promise.all(
          settings.binDirectories.map(async (each, index) =>
            this.#absolute(await this.#text(each, ['settings', 'binDirectories', index], false)),
          ),
        ),
        sandbox: {
          ...sandbox,
          ...optional('directory', await folder(sandbox.directory, ['settings', 'sandbox', 'directory'])),
          ...optional('user', await text(sandbox.user, ['settings', 'sandbox', 'user'])),
          parameters: await this.#record(sandbox.parameters, ['settings', 'sandbox', 'parameters']),
        },
        ...optional('scratchDirectory', await folder(scratchDirectory, ['settings', 'scratchDirectory'])),
      },
      databases: await mapValues(databases, (database, name) => this.#record(database, ['databases', name])),
      repositories: await this.#repositories(() => true, done),
    };
  }

  async #repositories(wanted: (name: string) => boolean, done: Set<string>): Promise<Plan['repositories']> {
    return await mapValues(this.#plan.repositories, async (repository, name) => {
      if (!wanted(name) || done.has(`repository ${name}`)) return repository;
      done.add(`repository ${name}`);
      const resolved = await this.#record(repository, ['repositories', name]);
      return { ...resolved, path: this.#absolute(resolved.path) };
    });
  }

  async notifier(notifier: NotifierDefinition): Promise<NotifierDefinition> {
    const kind = this.#origin?.vocabulary.notifiers.get(notifier.kind);
    const path = ['notifiers', notifier.name, notifier.kind];
    const settings = await this.#fitting(kind?.settings, notifier.settings, path, false);
    if (this.#missing.length === 0) {
      for (const problem of kind?.validate?.(settings) ?? []) {
        this.#unfit.push(`${formatPath([...path, ...problem.path])}: ${problem.message}`);
      }
    }
    return { ...notifier, settings };
  }

  /** Parameters of a check. */
  async #params(check: CheckDefinition, path: Path): Promise<unknown> {
    const schema = this.#origin?.vocabulary.checks.get(check.kind)?.params;
    return await this.#fitting(schema, check.with, path, true);
  }

  /** Nobody looks at the value again before it is used, so what the environment gave must fit. */
  async #fitting(
    schema: JsonSchema | undefined,
    written: unknown,
    path: Path,
    expressions: boolean,
  ): Promise<unknown> {
    const missing = this.#missing.length;
    const value = settleEnvironment(schema, written, await this.#value(written, path, expressions));
    if (schema !== undefined && this.#missing.length === missing) {
      const validate = await compileSchema(schema, { exempt: expressions ? hasExpression : () => false });
      for (const problem of validate(structuredClone(value))) {
        this.#unfit.push(`${formatPath([...path, ...problem.path])}: ${problem.message}`);
      }
    }
    return value;
  }

  async #job(job: Job): Promise<Job> {
    const base = ['jobs', job.name];
    const steps = (group: 'steps' | 'onFailure') =>
      mapValues(job[group], async (step, name): Promise<Step> => {
        const settings = await this.#record(step.with, [...base, group, name, 'with'], true);
        const schema = this.#origin?.vocabulary.steps.get(step.uses)?.with;
        return { ...step, with: settleEnvironment(schema, step.with, settings) as Step['with'] };
      });
    return {
      ...job,
      inputs: await mapValues(job.inputs, async (input, name) => ({
        ...input,
        ...optional('default', await this.#value(input.default, [...base, 'inputs', name, 'default'], true)),
      })),
      steps: await steps('steps'),
      onFailure: await steps('onFailure'),
    };
  }

  async #record<T extends object>(record: T, path: Path, expressions = false): Promise<T> {
    return (await this.#value(record, path, expressions)) as T;
  }

  /** @param expressions true where expressions are evaluated later: then the result is still a template */
  async #value(value: unknown, path: Path, expressions = false): Promise<unknown> {
    if (typeof value === 'string') return await this.#text(value, path, expressions);
    if (Array.isArray(value)) {
      return await Promise.all(value.map((item, index) => this.#value(item, [...path, index], expressions)));
    }
    if (!isRecord(value)) return value;
    return await mapValues(value, (item, key) => this.#value(item, [...path, key], expressions));
  }

  async #text(text: string, path: Path, expressions: boolean): Promise<string> {
    const secret = this.#origin?.secrets.has(pathKey(path)) === true;
    const inserted: string[] = [];
    const parts = await Promise.all(
      parseTemplate(text).parts.map(async (part): Promise<Part & { kind: 'text' | 'expression' }> => {
        if (part.kind === 'text' || part.kind === 'expression') return part;
        const value = await this.#part(part, path, part);
        inserted.push(value);
        return { kind: 'text', text: value };
      }),
    );
    const plain = parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
    if (secret) {
      this.#addSecret(plain);
      // A tool may show the token of a url without the rest of it; the host of a database is no secret.
      if (!isConnection(plain)) for (const value of inserted) this.#addSecret(value);
    }
    if (expressions) return formatTemplate(parts);
    return parts.map((part) => (part.kind === 'text' ? part.text : `\${{ ${part.source} }}`)).join('');
  }

  async #part(part: Part, path: Path, outer: Missing['part']): Promise<string> {
    switch (part.kind) {
      case 'text':
        return part.text;
      case 'expression':
        return `\${{ ${part.source} }}`;
      case 'file':
        return await this.#file(await this.#parts(part.path, path, outer), path, outer);
      default: {
        const value = own(this.#env as Record<string, string | undefined>, part.name);
        if (value !== undefined && value !== '') {
          // Wherever it is inserted: what is called a secret is one, and a url may hold a password.
          if (SECRET_NAME.test(part.name)) this.#addSecret(value);
          else if (value.includes('://')) this.#masker.addUrl(value);
          return value;
        }
        if (part.fallback !== undefined) return await this.#parts(part.fallback, path, outer);
        const message = `${part.name} is ${value === undefined ? 'not set' : 'empty'}`;
        this.#missing.push({ message, variable: part.name, path, part: outer });
        return '';
      }
    }
  }

  async #parts(parts: readonly Part[], path: Path, outer: Missing['part']): Promise<string> {
    return (await Promise.all(parts.map((part) => this.#part(part, path, outer)))).join('');
  }

  async #file(name: string, path: Path, part: Missing['part']): Promise<string> {
    const file = this.#absolute(name);
    try {
      // The newline that editors and `echo` put at the end is not part of a secret.
      const content = (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
      if (content === '') this.#missing.push({ message: `file ${file} is empty`, path, part });
      this.#addSecret(content);
      return content;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      const reason = FILE_REASONS[code] ?? 'cannot be read';
      this.#missing.push({ message: `file ${file} ${reason}`, path, part });
      return '';
    }
  }

  #addSecret(value: string): void {
    if (isConnection(value)) this.#masker.addUrl(value);
    else this.#masker.add(value);
  }

  #absolute(path: string): string {
    if (path === '') return path;
    const home = this.#env.HOME;
    if (home !== undefined && (path === '~' || path.startsWith('~/'))) return join(home, path.slice(1));
    return isAbsolute(path) ? path : resolve(this.#folder, path);
  }

  throwIfMissing(): void {
    if (this.#missing.length === 0) {
      if (this.#unfit.length === 0) return;
      throw new BackplanError('INPUT_INVALID', this.#unfit.join('; '), {
        hint: 'The plan takes this value from the environment.',
      });
    }
    const order = (each: Missing) => {
      const span = this.#spanOf(each);
      return span === undefined ? Number.POSITIVE_INFINITY : span.line * 100_000 + span.column;
    };
    const sorted = [...this.#missing].sort((a, b) => order(a) - order(b) || 0);
    const lines = [...new Set(sorted.map((each) => `${each.message} (${this.#placeOf(each)})`))];
    const [first = ''] = lines;
    const variable = this.#missing.find((each) => each.variable !== undefined)?.variable;
    const near = this.#missing.flatMap(({ variable: name }) => {
      const found = name === undefined ? undefined : suggest(name, Object.keys(this.#env));
      return found === undefined ? [] : [`${found} is set: did you mean that instead of ${name}?`];
    });
    throw new BackplanError(
      'ENV_MISSING',
      lines.length === 1
        ? first
        : `${lines.length} values are missing from the environment:\n${lines.map((line) => `  ${line}`).join('\n')}`,
      {
        hint:
          near.length > 0
            ? [...new Set(near)].join(' ')
            : variable === undefined
              ? 'Create the file, or change its path in the plan.'
              : `Set it where backplan runs (export ${variable}=…), or give a default in the plan: \${${variable}:-value}.`,
      },
    );
  }

  /** Jobs made on the spot have no place in the file. */
  #spanOf({ path, part }: Missing): Span | undefined {
    const source = this.#origin?.source;
    return source?.written(path) === undefined ? undefined : source.insideSpan(path, part.start, part.end);
  }

  #placeOf(missing: Missing): string {
    const dotted = missing.path.map(String).join('.');
    const span = this.#spanOf(missing);
    return span === undefined
      ? dotted
      : `${this.#origin?.source.file}:${span.line}:${span.column}, ${dotted}`;
  }
}

const SECRET_NAME = /(^|_)(PASS|PASSWORD|PASSWD|PASSPHRASE|PWD|SECRET|TOKEN|KEY)(_|$|\d)/i;

const FILE_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EISDIR: 'is a folder',
  EACCES: 'may not be read',
  EPERM: 'may not be read',
};

function isConnection(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text);
}

/** Whether a job may use a suite: it is named in the settings of a step, or a step computes the name. */
function usesSuite(job: Job, suite: string): boolean {
  const names = (value: unknown): boolean =>
    value === suite ||
    (Array.isArray(value) && value.some(names)) ||
    (isRecord(value) &&
      Object.entries(value).some(([key, item]) => names(item) || (key === 'suite' && isComputed(item))));
  return [...Object.values(job.steps), ...Object.values(job.onFailure)].some((step) => names(step.with));
}

function isComputed(value: unknown): boolean {
  const texts = Array.isArray(value) ? value : [value];
  return texts.some((text) => hasExpression(text) || (typeof text === 'string' && text.includes('${')));
}

async function mapValues<T, R>(
  record: Readonly<Record<string, T>>,
  map: (value: T, key: string) => R | Promise<R>,
): Promise<Record<string, R>> {
  const entries = Object.entries(record).map(async ([key, value]) => [key, await map(value, key)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V });
}
