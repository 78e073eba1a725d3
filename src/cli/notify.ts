/** `notify`: who is told of what, and whether a message reaches them. */
import { EXIT, toBackplanError } from '../errors.ts';
import type { Delivery } from '../notify/deliver.ts';
import { resolveNotifier } from '../plan/resolve.ts';
import { Masker } from '../secret.ts';
import { formatDuration } from '../units.ts';
import { defineCommand, flag, optionalArgument, planArgument } from './command.ts';
import type { Paint } from './output.ts';
import { byName, openPlan } from './plan.ts';

interface Row {
  readonly notifier: string;
  readonly kind: string;
  readonly on: readonly string[];
  readonly jobs: readonly string[];
  readonly where: string | null;
  readonly problem: string | null;
  readonly test?: Pick<Delivery, 'delivered' | 'said' | 'durationMs'>;
}

export const notify = defineCommand({
  name: 'notify',
  summary: 'who is told of what; with --test, send each a test message',
  description:
    'Without --test nothing is sent. With it each notifier gets one message, tried once, and what the other side answered is shown. Ends with 1 when one was not reached.',
  group: 'Set-up',
  arguments: {
    plan: planArgument,
    notifier: optionalArgument('only this notifier', 'notifier'),
  },
  options: { test: flag('--test', 'send a test message') },
  examples: [
    { line: 'notify plans/crm.yaml', does: 'notifiers, their jobs and events' },
    { line: 'notify plans/crm.yaml --test', does: 'after a notifier was set up, and from time to time' },
    { line: 'notify plans/crm.yaml ops --test', does: 'only one of them' },
  ],
  exits: [EXIT.stepFailed],
  async run({ plan: file, notifier: name, test }, context) {
    const { plan } = await openPlan(context, file);
    const app = await context.app();
    const { out } = context;
    const chosen =
      name === undefined ? Object.values(plan.notifiers) : [byName('notifier', plan.notifiers, name)];
    const masker = new Masker();
    const journal = test ? await app.openState(context.globals.state) : undefined;
    const notifications =
      journal === undefined
        ? undefined
        : app.notifications({
            plan,
            journal,
            stateDirectory: app.stateDirectory(context.globals.state),
            masker,
            onProblem: (message) => out.warn(message),
          });
    const onSignal = () => void notifications?.settle(0);
    context.signal.addEventListener('abort', onSignal, { once: true });
    try {
      const rows = await Promise.all(
        chosen.map(async (each): Promise<Row> => {
          const kind = app.vocabulary.notifiers.get(each.kind);
          const row = {
            notifier: each.name,
            kind: each.kind,
            on: kind?.fixedEvents === undefined ? each.on : [],
            jobs: Object.values(plan.jobs).flatMap((job) =>
              job.notify.includes(each.name) ? [job.name] : [],
            ),
          };
          try {
            const { settings } = await resolveNotifier(plan, each.name, process.env, masker);
            const where = kind?.where(settings) ?? null;
            const sent = await notifications?.test(each.name);
            return { ...row, where, problem: null, ...(sent === undefined ? {} : { test: shown(sent) }) };
          } catch (error) {
            return { ...row, where: null, problem: masker.mask(toBackplanError(error).message) };
          }
        }),
      );
      const ok = rows.every((row) => row.problem === null && row.test?.delivered !== false);
      out.document({ plan: plan.name, ok, notifiers: rows });
      if (rows.length === 0) out.print('The plan declares no notifier: nobody is told when a backup fails.');
      for (const row of rows)
        out.print(lines(row, app.vocabulary.notifiers.get(row.kind)?.fixedEvents, out.paint));
      return ok ? EXIT.success : EXIT.stepFailed;
    } finally {
      context.signal.removeEventListener('abort', onSignal);
      await notifications?.close(0);
      journal?.close();
    }
  },
});

function shown({ delivered, said, durationMs }: Delivery): Row['test'] {
  return { delivered, said, durationMs };
}

function lines(row: Row, fixed: string | undefined, paint: Paint): string {
  const { notifier, kind, where, problem, test, on, jobs } = row;
  const head = `${paint('bold', notifier)}: ${kind}${where === null ? '' : `, ${where}`}`;
  const details = [
    `  told of  ${fixed ?? on.join(', ')}`,
    `  jobs     ${jobs.length === 0 ? paint('yellow', 'no job names it') : jobs.join(', ')}`,
  ];
  if (problem !== null)
    return [head, ...details, `  ${paint(['bold', 'red'], 'cannot be used:')} ${problem}`].join('\n');
  if (test === undefined) return [head, ...details].join('\n');
  const time = formatDuration(test.durationMs);
  return test.delivered
    ? `${head}: ${paint('green', 'delivered')} in ${time} (${test.said})`
    : `${head}: ${paint(['bold', 'red'], 'NOT delivered')} after ${time}: ${test.said}`;
}
