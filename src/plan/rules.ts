/** Rules that a schema cannot say: inputs, durations, secrets written in clear. */
import { walk } from '../schema-walk.ts';
import { listNames } from '../suggest.ts';
import { parseDuration, parseTimestamp } from '../units.ts';
import type { Collector } from './diagnostic.ts';
import { type InputDocument, type PlanDocument, planDocumentSchema } from './schema.ts';
import type { Path } from './source.ts';
import type { Structure } from './structure.ts';
import { isTemplate, parseTemplate } from './template.ts';
import type { Vocabulary } from './vocabulary.ts';
import { timeZoneProblem } from './zone.ts';

/** Times that must be more than none. */
export function checkDurations(structure: Structure, collector: Collector): void {
  const check = (text: string | undefined, path: Path) => {
    if (typeof text !== 'string' || !/^(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(text)) return;
    if (parseDuration(text) <= 0) collector.report(path, 'must be more than 0');
  };
  for (const [name, { timeout }] of Object.entries(structure.document.jobs)) {
    check(timeout, ['jobs', name, 'timeout']);
  }
  for (const { path, step } of structure.steps) check(step.timeout, [...path, 'timeout']);
}

/** Defaults and choices that fit the type of their input. */
export async function checkInputs(document: PlanDocument, collector: Collector): Promise<void> {
  for (const [job, { inputs }] of Object.entries(document.jobs)) {
    for (const [name, input] of Object.entries(inputs)) {
      const path = ['jobs', job, 'inputs', name];
      const { default: standard, choices } = input;
      if (standard !== undefined)
        await checkInputValue(standard, input, [...path, 'default'], document, collector);
      for (const [index, choice] of (choices ?? []).entries()) {
        await checkInputValue(choice, input, [...path, 'choices', index], document, collector);
      }
      if (
        standard !== undefined &&
        choices !== undefined &&
        !isTemplate(standard) &&
        !choices.includes(standard)
      ) {
        collector.report([...path, 'default'], `${JSON.stringify(standard)} is not one of the choices`, {
          hint: `Choices are ${listNames(choices.map(String))}.`,
        });
      }
    }
  }
}

const INPUT_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
  backup: 'a backup: latest, latest-proven, label:TEXT or an id',
  timestamp: 'a time such as 2026-05-04T03:10:00+02:00',
  duration: 'a duration such as 30s, 5m, 12h or 30d',
  database: 'the name of a database of the plan',
};

async function checkInputValue(
  value: unknown,
  { type }: InputDocument,
  path: Path,
  document: PlanDocument,
  collector: Collector,
): Promise<void> {
  if (type === undefined || isTemplate(value)) return;
  const wanted = type === 'number' || type === 'boolean' ? type : 'string';
  if (typeof value !== wanted) {
    const asNumber =
      wanted === 'number' && typeof value === 'string' && value !== '' && !Number.isNaN(Number(value));
    collector.report(
      path,
      `the input has type ${type}: expected ${INPUT_WORDS[type]}, found ${JSON.stringify(value)}`,
      {
        hint:
          wanted === 'string'
            ? `Put it in quotes: "${String(value)}".`
            : asNumber
              ? `Write it without quotes: ${value}.`
              : undefined,
      },
    );
    return;
  }
  if (!(await isPossible(String(value), type, document))) {
    collector.report(path, `expected ${INPUT_WORDS[type]}, found ${JSON.stringify(value)}`, {
      hint:
        type === 'database'
          ? `Databases are ${listNames(Object.keys(document.databases ?? {}))}.`
          : undefined,
    });
  }
}

async function isPossible(
  text: string,
  type: InputDocument['type'],
  document: PlanDocument,
): Promise<boolean> {
  try {
    if (type === 'duration') parseDuration(text);
    if (type === 'timestamp')
      await parseTimestamp(text, timeZoneProblem(document.timezone) ? 'UTC' : document.timezone);
    if (type === 'database') return Object.hasOwn(document.databases ?? {}, text);
    return type !== 'backup' || text.trim() !== '';
  } catch {
    return false;
  }
}

/** Addresses that are written out must at least be of the right kind. */
export function checkAddresses(document: PlanDocument, collector: Collector): void {
  const check = (value: unknown, path: Path, scheme: RegExp, what: string, hint: string) => {
    if (typeof value !== 'string' || value === '' || scheme.test(value)) return;
    const [first] = parseTemplate(value).parts;
    // What begins with a variable may become anything.
    if (first?.kind === 'text') collector.report(path, `is no ${what}`, { hint, secret: true });
  };
  for (const [name, { url }] of Object.entries(document.databases ?? {})) {
    const hint =
      'Write postgresql://USER@HOST:PORT/DATABASE, or the name of a variable that holds it: ${DATABASE_URL}.';
    check(url, ['databases', name, 'url'], /^postgres(ql)?:\/\//, 'PostgreSQL url', hint);
  }
}

const SECRET_HINT = 'Move it out of the plan: ${NAME} from the environment, or ${file:/run/secrets/name}.';

/** Passwords and tokens in the plan itself, which is meant to be kept in git. */
export function checkSecrets(structure: Structure, vocabulary: Vocabulary, collector: Collector): void {
  const visit = (schema: Parameters<typeof walk>[0], value: unknown, base: Path) =>
    walk(schema, value, (place, item, path) => {
      if (typeof item !== 'string' || item === '') return;
      const inUrl = passwordIn(item);
      if (inUrl) report([...base, ...path], 'a password is written in clear in the plan');
      else if (place?.['x-secret'] === true && !isConnection(item) && !isTemplate(item)) {
        report([...base, ...path], 'a secret is written in clear in the plan');
      }
    });
  const report = (path: Path, message: string) =>
    collector.report(path, message, { severity: 'warning', hint: SECRET_HINT, secret: true });
  visit(planDocumentSchema, structure.document, []);
  for (const { path, step } of structure.steps)
    visit(vocabulary.steps.get(step.uses)?.with, step.with, [...path, 'with']);
  for (const { kind, path, with: params } of structure.checks)
    visit(vocabulary.checks.get(kind)?.params, params, path);
  for (const { kind, path, settings } of structure.notifiers)
    visit(vocabulary.notifiers.get(kind)?.settings, settings, path);
}

function isConnection(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text);
}

/** A url with a password that is not taken from elsewhere; also inside the default of a variable. */
function passwordIn(text: string): boolean {
  for (const match of text.matchAll(
    /:\/\/[^\s:/@'"]*:((?:\$\{[^}]*\}|[^\s@/'"])+)@|[?&](?:ssl)?password=([^&\s'"]+)/gi,
  )) {
    const password = match[1] ?? match[2] ?? '';
    if (parseTemplate(password).parts.some((part) => part.kind === 'text')) return true;
  }
  return false;
}
