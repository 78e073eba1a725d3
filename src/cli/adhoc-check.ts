/** Settings of an ad-hoc job are wrong usage, told before anything is recorded or made. */
import { BackplanError } from '../errors.ts';
import type { Job, Plan } from '../plan/model.ts';
import { hasExpression } from '../plan/template.ts';
import type { StepKind } from '../steps/step-kind.ts';
import { compileSchema } from '../validator.ts';

/** @throws USAGE naming the options */
export async function assertUsable(
  job: Job,
  kinds: ReadonlyMap<string, StepKind>,
  plan: Plan,
): Promise<void> {
  const messages = new Set<string>();
  let hint: string | undefined;
  for (const step of Object.values(job.steps)) {
    const kind = kinds.get(step.uses);
    if (kind === undefined) continue;
    const settings = structuredClone(step.with);
    const check = await compileSchema(kind.with, { exempt: hasExpression });
    const problems = [...check(settings), ...(kind.validate?.(settings, plan) ?? [])];
    for (const { path, message, hint: advice } of problems) {
      const [key] = path;
      messages.add(typeof key === 'string' ? `${optionOf(key)}: ${message}` : message);
      hint ??= advice;
    }
  }
  if (messages.size === 0) return;
  throw new BackplanError('USAGE', [...messages].join('; '), hint === undefined ? {} : { hint });
}

/** `noOwner` → `--no-owner`: the options of ad-hoc commands are called like the settings they set. */
function optionOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
