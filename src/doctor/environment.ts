/** Resolves a plan's environment piece by piece, so that one missing variable does not hide everything else. */
import { toBackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import { resolveEnvironment, resolveNotifier } from '../plan/resolve.ts';
import { Masker } from '../secret.ts';
import { type Finding, reporter } from './probe.ts';

/** The plan with what could be resolved; what could not is left out and is a finding. */
export async function resolveWhatCan(
  plan: Plan,
  env: NodeJS.ProcessEnv,
): Promise<{ plan: Plan; findings: Finding[] }> {
  const masker = new Masker();
  const findings: Finding[] = [];
  const empty: Plan = { ...plan, databases: {}, repositories: {}, suites: {}, notifiers: {}, jobs: {} };
  const attempt = async (subject: string, part: Partial<Plan>): Promise<Plan | undefined> => {
    try {
      return await resolveEnvironment({ ...empty, ...part }, env, masker);
    } catch (error) {
      const { message, hint } = toBackplanError(error);
      findings.push(reporter('environment', subject).problem(message, hint));
      return undefined;
    }
  };
  for (const name of Object.keys(plan.notifiers)) {
    try {
      await resolveNotifier(plan, name, env, masker);
    } catch (error) {
      const { message, hint } = toBackplanError(error);
      findings.push(
        reporter('environment', name).problem(`notifier ${name} cannot be used: ${message}`, hint),
      );
    }
  }
  const each = async <K extends 'databases' | 'repositories'>(key: K): Promise<Plan[K]> => {
    const entries: [string, unknown][] = [];
    for (const [name, definition] of Object.entries(plan[key])) {
      const resolved = await attempt(name, { [key]: { [name]: definition } });
      const found = resolved?.[key][name];
      if (found !== undefined) entries.push([name, found]);
    }
    return Object.fromEntries(entries) as Plan[K];
  };
  const settings = (await attempt('settings', {}))?.settings ?? plan.settings;
  return {
    plan: {
      ...plan,
      settings,
      databases: await each('databases'),
      repositories: await each('repositories'),
    },
    findings,
  };
}
