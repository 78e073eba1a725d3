/**
 * Expressions before anything runs: syntax, names and types, at every place where they may stand. Imported only for
 * plans that hold expressions.
 */
import type { JsonSchema } from '../schema.ts';
import { acceptedTypes, accepts, expectation, type JsonType, walk } from '../schema-walk.ts';
import type { Collector } from './diagnostic.ts';
import { JobWorld } from './job-world.ts';
import { sharedCheckSchema } from './schema.ts';
import type { Path } from './source.ts';
import type { StepEntry, Structure } from './structure.ts';
import { conditionSource, parseTemplate } from './template.ts';
import type { ValueType, Vocabulary } from './vocabulary.ts';

/** Reports everything that is wrong with the expressions of a plan. */
export function checkExpressions(structure: Structure, vocabulary: Vocabulary, collector: Collector): void {
  checkSuites(structure, vocabulary, collector);
  for (const [name, job] of Object.entries(structure.document.jobs)) {
    const entries = structure.steps.filter((entry) => entry.job === name);
    const world = new JobWorld(job, entries, vocabulary);
    for (const entry of entries) checkStep(entry, world, vocabulary, collector);
    for (const [input, { default: value }] of Object.entries(job.inputs)) {
      if (typeof value === 'string') {
        const path = ['jobs', name, 'inputs', input, 'default'];
        checkText(
          value,
          path,
          undefined,
          new JobWorld({ inputs: {}, steps: {}, onFailure: {} }, [], vocabulary),
          undefined,
          collector,
        );
      }
    }
  }
}

function checkSuites(structure: Structure, vocabulary: Vocabulary, collector: Collector): void {
  const { document, checks } = structure;
  for (const [name, suite] of Object.entries(document.suites)) {
    const own = checks.filter((check) => check.suite === name);
    const params = (Array.isArray(suite) ? undefined : suite?.params) ?? {};
    const world = new JobWorld({ inputs: {}, steps: {}, onFailure: {} }, [], vocabulary, params);
    for (const { kind, path, with: value, shared, inside } of own) {
      walk(vocabulary.checks.get(kind)?.params, value, (place, item, at) => {
        if (typeof item === 'string') checkText(item, [...path, ...at], place, world, undefined, collector);
      });
      walk(sharedCheckSchema, shared, (place, item, at) => {
        const base = inside.includes(String(at[0])) ? path : path.slice(0, -1);
        if (typeof item === 'string') checkText(item, [...base, ...at], place, world, undefined, collector);
      });
    }
  }
}

function checkStep(entry: StepEntry, world: JobWorld, vocabulary: Vocabulary, collector: Collector): void {
  const schema = vocabulary.steps.get(entry.step.uses)?.with;
  walk(schema, entry.step.with, (place, value, path) => {
    if (typeof value === 'string') {
      checkText(value, [...entry.path, 'with', ...path], place, world, entry, collector);
    }
  });
  checkCondition(entry, world, vocabulary, collector);
}

function checkText(
  text: string,
  path: Path,
  schema: JsonSchema | undefined,
  world: JobWorld,
  entry: StepEntry | undefined,
  collector: Collector,
): void {
  if (!text.includes('${{')) return;
  const { parts, problems } = parseTemplate(text);
  if (problems.length > 0) return;
  for (const part of parts) {
    if (part.kind !== 'expression') continue;
    const { problems: found, type } = world.check(part.source, entry);
    for (const problem of found) {
      collector.report(path, problem.message, {
        hint: problem.hint,
        inside: { start: part.sourceStart + problem.start, end: part.sourceStart + problem.end },
      });
    }
    if (found.length > 0 || schema === undefined) continue;
    const wrong = parts.length === 1 ? misfit(type, schema) : misfit('string', schema);
    if (wrong !== undefined) collector.report(path, wrong.message, { hint: wrong.hint, inside: part });
  }
}

const VALUE_WORDS: Readonly<Record<ValueType, string>> = {
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
  list: 'a list',
  map: 'a map',
};

const JSON_TYPES: Readonly<Record<ValueType, JsonType>> = {
  string: 'string',
  number: 'integer',
  boolean: 'boolean',
  list: 'array',
  map: 'object',
};

/** What an expression yields does not go where it stands. Numbers and booleans become text where text is wanted. */
function misfit(
  type: ValueType | undefined,
  schema: JsonSchema,
): { message: string; hint?: string } | undefined {
  const accepted = acceptedTypes(schema);
  if (type === undefined || accepted === undefined || accepts(accepted, JSON_TYPES[type])) return undefined;
  if ((type === 'number' || type === 'boolean') && accepted.has('string')) return undefined;
  return {
    message: `the expression yields ${VALUE_WORDS[type]}, expected ${expectation(schema)}`,
    ...(type === 'string' && (accepted.has('number') || accepted.has('integer'))
      ? { hint: 'int(…) makes a whole number of text; an input can have type: number.' }
      : {}),
  };
}

function checkCondition(
  entry: StepEntry,
  world: JobWorld,
  vocabulary: Vocabulary,
  collector: Collector,
): void {
  const condition = entry.step.if;
  const path = [...entry.path, 'if'];
  if (typeof condition === 'boolean') {
    if (!condition) collector.report(path, 'the step never runs', { severity: 'warning' });
    return;
  }
  if (condition === undefined) return;
  const located = conditionSource(condition);
  if (located === undefined) {
    // A template that is broken, or reads the environment, was reported with the others.
    const { parts, problems } = parseTemplate(condition);
    if (problems.length > 0 || parts.some(({ kind }) => kind === 'variable' || kind === 'file')) return;
    collector.report(path, 'a condition is one expression', {
      hint: 'Put all of it inside one ${{ }}, with && and || between its parts.',
    });
    return;
  }
  const { source, start } = located;
  const { problems, type } = world.check(source, entry);
  for (const problem of problems) {
    collector.report(path, problem.message, {
      hint: problem.hint,
      inside: { start: start + problem.start, end: start + problem.end },
    });
  }
  if (problems.length > 0) return;
  if (type !== undefined && type !== 'boolean') {
    collector.report(path, `a condition must be true or false, this is ${VALUE_WORDS[type]}`, {
      hint: 'Compare it with something, for example inputs.mode == "full".',
    });
  } else {
    checkReachable(source, entry, path, collector);
    const danger = vocabulary.steps.get(entry.step.uses)?.onlyAfterSuccess;
    if (danger !== undefined && entry.group === 'steps' && /\b(?:always|failure|cancelled)\(/.test(source)) {
      collector.report(path, `"${entry.name}" may run after a failure`, {
        severity: 'warning',
        hint: danger,
      });
    }
  }
}

/** Conditions that can never be true. */
function checkReachable(source: string, entry: StepEntry, path: Path, collector: Collector): void {
  const needsNothing = entry.group === 'steps' && entry.step.needs.length === 0;
  if (needsNothing && /^failure\(\)$/.test(source)) {
    collector.report(
      path,
      `step "${entry.name}" can never run: failure() is about the steps that it needs, and it needs none`,
      {
        hint: 'Name the steps in `needs`, or put the step under `onFailure`.',
      },
    );
  } else if (/^false$/.test(source)) {
    collector.report(path, 'the step never runs', { severity: 'warning' });
  } else if (entry.group === 'onFailure' && /^success\(\)$/.test(source)) {
    collector.report(path, 'the step never runs: steps of onFailure run when the job has failed', {
      severity: 'warning',
    });
  }
}
