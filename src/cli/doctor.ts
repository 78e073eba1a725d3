/** `doctor`: would this plan work on this machine? Every finding with its fix. */
import { EXIT, toBackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import { defineCommand, planArgument } from './command.ts';
import type { Paint } from './output.ts';
import { openPlan } from './plan.ts';
import { recoverState } from './state.ts';

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'look whether a plan would work on this machine, and say how to mend what would not',
  description:
    'Connections, rights, tools and their versions, sandboxes, disk, clocks, repositories, the journal and interrupted runs. Changes nothing, except that it creates missing repository folders and clears up after interrupted runs, as every command does.',
  group: 'Set-up',
  arguments: { plan: planArgument },
  options: {},
  examples: [
    { line: 'doctor plans/crm.yaml', does: 'before the first run, and after something changed' },
    { line: 'doctor plans/crm.yaml -o json', does: 'for a monitoring system' },
  ],
  exits: [EXIT.environment],
  async run({ plan: file }, context) {
    const { out } = context;
    const { plan } = await openPlan(context, file);
    const app = await context.app();
    const [{ examine }, { resolveWhatCan }] = await Promise.all([
      import('../doctor/index.ts'),
      import('../doctor/environment.ts'),
    ]);
    const { plan: resolved, findings } = await resolveWhatCan(plan, process.env);
    for (const finding of findings) out.print(formatFinding(finding, out.paint));
    try {
      await (await recoverState(context, plan))[Symbol.asyncDispose]();
    } catch (error) {
      // The journal's own probe says it better.
      out.note(toBackplanError(error).message);
    }
    for await (const finding of examine({
      plan: resolved,
      signal: context.signal,
      now: new Date(),
      stateDirectory: app.stateDirectory(context.globals.state),
      openState: async () => await app.openState(context.globals.state),
      repository: async (name) => await app.repository(plan, name),
    })) {
      findings.push(finding);
      out.print(formatFinding(finding, out.paint));
    }
    const problems = findings.filter(({ status }) => status === 'problem').length;
    const warnings = findings.filter(({ status }) => status === 'warning').length;
    out.document({ plan: plan.name, ok: problems === 0, findings });
    out.print();
    out.print(summary(plan, problems, warnings, out.paint));
    return problems === 0 ? EXIT.success : EXIT.environment;
  },
});

function summary(plan: Plan, problems: number, warnings: number, paint: Paint): string {
  const some = [
    ...(problems === 0 ? [] : [`${problems} ${problems === 1 ? 'problem' : 'problems'}`]),
    ...(warnings === 0 ? [] : [`${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`]),
  ].join(', ');
  if (problems > 0) return paint(['bold', 'red'], `${plan.name} will not work here: ${some}`);
  if (warnings > 0) return paint('yellow', `${plan.name} will work here: ${some}`);
  return paint('green', `${plan.name} will work here`);
}

interface Shown {
  readonly area: string;
  readonly subject: string;
  readonly status: 'ok' | 'warning' | 'problem';
  readonly message: string;
  readonly fix?: string;
}

function formatFinding({ area, subject, status, message, fix }: Shown, paint: Paint): string {
  const mark =
    status === 'ok'
      ? paint('green', '✓')
      : status === 'warning'
        ? paint('yellow', '!')
        : paint(['bold', 'red'], '✗');
  const lines = [`${mark} ${area} ${paint('bold', subject)}: ${message}`];
  if (fix !== undefined) lines.push(`    ${paint('cyan', 'fix:')} ${fix}`);
  return lines.join('\n');
}
