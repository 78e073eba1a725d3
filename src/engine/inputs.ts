/** What a person typed for a job's inputs → values of the declared types. */
import { BackplanError, toBackplanError } from '../errors.ts';
import { evaluate, type Scope } from '../plan/expressions.ts';
import type { InputDefinition, Job, Plan } from '../plan/model.ts';
import { listNames, suggest } from '../suggest.ts';
import { parseDuration, parseTimestamp } from '../units.ts';

/**
 * Every declared input gets a value: the given one, its default, or null where it is optional. Text is turned into
 * the declared type, because the command line knows only text: a timestamp becomes ISO 8601 in UTC (read in the
 * plan's zone when it has no offset); a duration stays text.
 * @throws INPUT_INVALID with everything that is wrong at once
 */
export async function resolveInputs(
  plan: Plan,
  job: Job,
  given: Readonly<Record<string, unknown>>,
  scope: Scope,
): Promise<Record<string, unknown>> {
  const problems: { message: string; hint?: string }[] = [];
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(job.inputs, name)) problems.push(unknownInput(job, name));
  }
  // Not assigned one by one: a name may be __proto__.
  const values: [string, unknown][] = [];
  for (const input of Object.values(job.inputs)) {
    try {
      const value = Object.hasOwn(given, input.name) ? given[input.name] : undefined;
      values.push([input.name, await resolveInput(plan, input, value, scope)]);
    } catch (error) {
      const { message, hint } = toBackplanError(error);
      problems.push({ message: `input ${input.name}: ${message}`, hint });
    }
  }
  if (problems.length > 0) {
    const hints = [...new Set(problems.flatMap(({ hint }) => (hint === undefined ? [] : [hint])))];
    throw new BackplanError(
      'INPUT_INVALID',
      `job ${job.name} cannot start: ${problems.map(({ message }) => message).join('; ')}`,
      { hint: hints.length === 0 ? undefined : hints.join(' ') },
    );
  }
  return Object.fromEntries(values);
}

async function resolveInput(
  plan: Plan,
  input: InputDefinition,
  given: unknown,
  scope: Scope,
): Promise<unknown> {
  if (!isEmpty(given, input)) return checkChoice(plan, input, await coerce(plan, input, given));
  if (input.default !== undefined && input.default !== null) {
    return checkChoice(plan, input, await coerce(plan, input, evaluate(input.default, scope)));
  }
  if (input.optional) return null;
  throw invalid(
    `a ${input.type} is needed${input.description === undefined ? '' : ` (${input.description})`}`,
    `Give it with --input ${input.name}=…`,
  );
}

/** `--input at=` leaves a value out; for text the empty string is a value like any other. */
function isEmpty(given: unknown, input: InputDefinition): boolean {
  return given === undefined || given === null || (given === '' && input.type !== 'string');
}

async function coerce(plan: Plan, input: InputDefinition, value: unknown): Promise<unknown> {
  switch (input.type) {
    case 'number':
      return toNumber(value);
    case 'boolean':
      return toBoolean(value);
    case 'timestamp':
      return (await toInstant(plan, value)).toISOString();
    case 'duration': {
      const text = toText(value, input).trim();
      parseDuration(text);
      return text;
    }
    case 'database': {
      const name = toText(value, input);
      if (!Object.hasOwn(plan.databases, name)) throw unknownDatabase(plan, name);
      return name;
    }
    case 'backup': {
      const text = toText(value, input).trim();
      if (text === '')
        throw invalid('an empty text names no backup', 'Write latest, latest-proven, label:TEXT or an id.');
      return text;
    }
    case 'string':
      return toText(value, input);
    default:
      input.type satisfies never;
      throw invalid(`its type "${String(input.type)}" is not known`);
  }
}

async function toInstant(plan: Plan, value: unknown): Promise<Date> {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value;
  if (typeof value !== 'string') throw invalid(`${show(value)} is not a time`);
  return await parseTimestamp(value, plan.timezone);
}

function toText(value: unknown, input: InputDefinition): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw invalid(`${show(value)} is not a ${input.type}`);
}

function toNumber(value: unknown): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) {
    throw invalid(`${show(value)} is not a number`, 'Write digits, for example 3 or 0.5.');
  }
  return number;
}

const TRUE = /^(true|yes|on|1)$/i;
const FALSE = /^(false|no|off|0)$/i;

function toBoolean(value: unknown): boolean {
  const text = String(value).trim();
  if (TRUE.test(text)) return true;
  if (FALSE.test(text)) return false;
  throw invalid(`${show(value)} is neither true nor false`, 'Write true or false.');
}

async function checkChoice(plan: Plan, input: InputDefinition, value: unknown): Promise<unknown> {
  if (input.choices === undefined) return value;
  for (const choice of input.choices) {
    if ((await coerce(plan, input, choice)) === value) return value;
  }
  throw invalid(
    `${show(value)} is not one of ${input.choices.map(show).join(', ')}`,
    suggestion(String(value), input.choices.map(String)),
  );
}

function unknownInput(job: Job, name: string): { message: string; hint?: string } {
  const names = Object.keys(job.inputs);
  return {
    message: `it has no input "${name}"`,
    hint:
      suggestion(name, names) ??
      (names.length === 0 ? 'This job takes no inputs.' : `Its inputs are ${listNames(names)}.`),
  };
}

function unknownDatabase(plan: Plan, name: string): BackplanError {
  const names = Object.keys(plan.databases);
  return invalid(
    `the plan has no database "${name}"`,
    suggestion(name, names) ?? `Its databases are ${listNames(names)}.`,
  );
}

function suggestion(word: string, names: readonly string[]): string | undefined {
  const nearest = suggest(word, names);
  return nearest === undefined ? undefined : `Did you mean "${nearest}"?`;
}

function invalid(message: string, hint?: string): BackplanError {
  return new BackplanError('INPUT_INVALID', message, { hint });
}

function show(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : (JSON.stringify(value) ?? String(value));
}
