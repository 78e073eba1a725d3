/** Everything that can be known about a plan without running it: shape, names, graph, expressions, rules of kinds. */
import { resolve } from 'node:path';
import { BackplanError } from '../errors.ts';
import { walk } from '../schema-walk.ts';
import { buildPlan } from './build.ts';
import type { Collector } from './diagnostic.ts';
import type { Plan } from './model.ts';
import { pathKey, withOrigin } from './origin.ts';
import { checkGraphs, checkReferences } from './references.ts';
import { checkAddresses, checkDurations, checkInputs, checkSecrets } from './rules.ts';
import { checkSchedules } from './schedule-rules.ts';
import { planDocumentSchema } from './schema.ts';
import { at, type Path, type PlanSource } from './source.ts';
import { checkStructure, type StepEntry, type Structure } from './structure.ts';
import { hasExpression, isTemplate } from './template.ts';
import { checkTemplates } from './template-check.ts';
import type { Vocabulary } from './vocabulary.ts';

/** Reports all problems at once. The plan is meant to be used only when none of them is an error. */
export async function validatePlan(
  source: PlanSource,
  vocabulary: Vocabulary,
  collector: Collector,
): Promise<Plan | undefined> {
  const structure = await checkStructure(source, vocabulary, collector);
  if (structure === undefined) return undefined;
  const { document, steps } = structure;
  checkTemplates(document, collector);
  checkReferences(structure, vocabulary, collector);
  checkGraphs(document, collector);
  if (source.text.includes('${{') || steps.some(({ step }) => step.if !== undefined)) {
    // The expression library is loaded for plans that have expressions.
    const { checkExpressions } = await import('./expression-check.ts');
    checkExpressions(structure, vocabulary, collector);
  }
  await checkSchedules(document, collector);
  await checkInputs(document, collector);
  checkDurations(structure, collector);
  checkAddresses(document, collector);
  checkSecrets(structure, vocabulary, collector);
  const plan = withOrigin(buildPlan(resolve(source.file), structure, source), {
    source,
    secrets: secretPaths(structure, vocabulary),
    vocabulary,
  });
  for (const entry of steps) if (entry.valid) checkKindRules(entry, plan, vocabulary, collector);
  return plan;
}

/** Rules that only the kind knows. */
function checkKindRules(entry: StepEntry, plan: Plan, vocabulary: Vocabulary, collector: Collector): void {
  const { path, step } = entry;
  const base = [...path, 'with'];
  try {
    for (const problem of vocabulary.steps.get(step.uses)?.validate?.(step.with, plan) ?? []) {
      if (isTemplate(at(step.with, problem.path))) continue;
      collector.report([...base, ...problem.path], problem.message, {
        hint: problem.hint,
        at: problem.path.length === 0 ? 'key' : 'value',
      });
    }
  } catch (cause) {
    // A kind may stumble over an expression where it expects its value; the engine asks again when it is known.
    if (hasExpression(step.with) || collector.hasErrors) return;
    throw new BackplanError('INTERNAL', `the rules of step kind ${step.uses} failed on step ${entry.name}`, {
      cause,
      hint: 'This is a bug of the step kind, not of the plan.',
    });
  }
}

function secretPaths(structure: Structure, vocabulary: Vocabulary): Set<string> {
  const paths = new Set<string>();
  const visit = (schema: Parameters<typeof walk>[0], value: unknown, base: Path) =>
    walk(schema, value, (place, _item, path) => {
      if (place?.['x-secret'] === true) paths.add(pathKey([...base, ...path]));
    });
  visit(planDocumentSchema, structure.document, []);
  for (const { path, step } of structure.steps) {
    visit(vocabulary.steps.get(step.uses)?.with, step.with, [...path, 'with']);
  }
  for (const { kind, path, with: params } of structure.checks) {
    visit(vocabulary.checks.get(kind)?.params, params, path);
  }
  for (const { kind, path, settings } of structure.notifiers) {
    visit(vocabulary.notifiers.get(kind)?.settings, settings, path);
  }
  return paths;
}
