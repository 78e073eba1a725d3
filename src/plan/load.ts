/** A plan file and a vocabulary of kinds → a plan, or everything that is wrong with it. What everyone else calls. */
import { deepFreeze } from './build.ts';
import { Collector, type Diagnostic } from './diagnostic.ts';
import type { Plan } from './model.ts';
import { readPlanText, STDIN } from './read.ts';
import { parseSource } from './source.ts';
import { validatePlan } from './validate.ts';
import type { Vocabulary } from './vocabulary.ts';

export type { Diagnostic } from './diagnostic.ts';
export type { CheckVocabulary, StepVocabulary, Vocabulary } from './vocabulary.ts';

export interface LoadResult {
  /** Frozen; absent when there are errors. Its environment is not resolved yet. */
  readonly plan?: Plan;
  /** Errors and warnings in the order of the file. */
  readonly diagnostics: Diagnostic[];
  /** Text of the file, for `formatDiagnostic`. */
  readonly source: string;
}

/**
 * Reads and validates a plan. Nothing outside the file is touched: no environment, no network, no database.
 * @param file path, or `-` for standard input
 * @throws PLAN_UNREADABLE when the file is missing or is not UTF-8 text of reasonable size
 */
export async function loadPlan(file: string, vocabulary: Vocabulary): Promise<LoadResult> {
  const text = await readPlanText(file);
  return await parsePlan(file === '-' ? STDIN : file, text, vocabulary);
}

/** The same for text that is already there. @param file how it is called in messages; relative paths start there */
export async function parsePlan(file: string, text: string, vocabulary: Vocabulary): Promise<LoadResult> {
  const { source, problems } = parseSource(file, text);
  const collector = new Collector(source);
  for (const { path, message, hint, span } of problems) collector.report(path, message, { hint, span });
  const plan = source.value === undefined ? undefined : await validatePlan(source, vocabulary, collector);
  const diagnostics = collector.list();
  return plan === undefined || collector.hasErrors
    ? { diagnostics, source: text }
    : { plan: deepFreeze(plan), diagnostics, source: text };
}
