/** Where `${NAME}` and `${{ … }}` may stand, and whether they are well formed. */
import { isRecord } from '../schema-walk.ts';
import type { Collector } from './diagnostic.ts';
import { NOTIFIER_KEYS } from './notifiers.ts';
import type { Path } from './source.ts';
import { parseTemplate } from './template.ts';

/** What a text value may hold. */
type Allowed = 'nothing' | 'environment' | 'expression' | 'both' | 'anything';

const STEP_HINT = "Expressions work in a step's `with` and `if`, and in checks.";
const PLACES_HINT =
  "The environment is read in databases, repositories, settings, notifiers, suites, in a step's `with` and in an input's default.";

/** Reports templates that are broken, or stand where nothing would ever replace them. */
export function checkTemplates(document: unknown, collector: Collector): void {
  const visit = (value: unknown, path: Path): void => {
    if (typeof value === 'string') checkText(value, path, collector);
    else if (Array.isArray(value)) for (const [index, item] of value.entries()) visit(item, [...path, index]);
    else if (isRecord(value)) for (const [key, item] of Object.entries(value)) visit(item, [...path, key]);
  };
  visit(document, []);
}

function checkText(text: string, path: Path, collector: Collector): void {
  if (!text.includes('${')) return;
  const allowed = allowedAt(path);
  if (allowed === 'anything') return;
  const { parts, problems } = parseTemplate(text);
  for (const { start, end, message, hint } of problems) {
    collector.report(path, message, { hint, inside: { start, end } });
  }
  for (const part of parts) {
    if (part.kind === 'text') continue;
    const { start, end } = part;
    const isExpression = part.kind === 'expression';
    if (allowed === 'both' || allowed === (isExpression ? 'expression' : 'environment')) continue;
    const message =
      path.at(-1) === 'if'
        ? 'the environment is not read in a condition'
        : isExpression
          ? 'an expression is not possible here'
          : 'the environment is not read here';
    const hint =
      path.at(-1) === 'if'
        ? 'Give the job an input and use inputs.NAME.'
        : isExpression
          ? STEP_HINT
          : `Write the value itself. ${PLACES_HINT}`;
    collector.report(path, message, { hint, inside: { start, end } });
  }
}

/** By the place in the plan. */
function allowedAt(path: Path): Allowed {
  const [top] = path;
  if (typeof top === 'string' && top.startsWith('x-')) return 'anything';
  switch (top) {
    case 'databases':
    case 'repositories':
    case 'settings':
      return 'environment';
    case 'suites':
      return path[2] === 'checks' || typeof path[2] === 'number'
        ? 'both'
        : path[2] === 'description'
          ? 'anything'
          : 'environment';
    case 'notifiers':
      return NOTIFIER_KEYS.includes(String(path[2])) ? 'nothing' : 'environment';
    case 'description':
      return 'anything';
    case 'jobs':
      return allowedInJob(path);
    default:
      return 'nothing';
  }
}

function allowedInJob(path: Path): Allowed {
  const [, , section, , key] = path;
  if (section === 'description' || (section === 'inputs' && key === 'description')) return 'anything';
  if (section === 'inputs' && key === 'default') return 'both';
  if (section === 'steps' || section === 'onFailure') {
    if (key === 'with') return 'both';
    if (key === 'if') return 'expression';
  }
  return 'nothing';
}
