/** `status`: what could be recovered now, how old it would be and how long it would take, held against rpo and rto. */
import { EXIT } from '../errors.ts';
import { formatAge, formatDuration, formatInstant } from '../units.ts';
import { defineCommand, option, planArgument } from './command.ts';
import { type DatabaseStatus, type Objective, statusOf } from './database-status.ts';
import type { Paint } from './output.ts';
import { byName, openPlan } from './plan.ts';
import { readBackups } from './read-backups.ts';

export const status = defineCommand({
  name: 'status',
  summary: 'what could be recovered now, and whether that is good enough',
  description:
    'For every database its newest proven backup, how old the data would be (the real recovery point) and how long its rehearsal took (the real recovery time). Ends with 3 when a database does not meet the rpo or rto that the plan declares for it: a line for a monitoring system.',
  group: 'Runs',
  arguments: { plan: planArgument },
  options: {
    database: option('-d, --database <name>', 'only this database', { completes: 'database' }),
  },
  examples: [
    { line: 'status plans/crm.yaml', does: 'how bad would it be?' },
    { line: 'status plans/crm.yaml -o json | jq .ok', does: 'for a monitoring system' },
  ],
  exits: [EXIT.stepFailed, EXIT.checksFailed],
  async run({ plan: file, database }, context) {
    const { plan } = await openPlan(context, file);
    const chosen =
      database === undefined ? Object.values(plan.databases) : [byName('database', plan.databases, database)];
    const listing = await readBackups(context, plan, Object.keys(plan.repositories), database);
    const now = new Date();
    const databases = chosen.map((each) => statusOf(each, listing.backups, now));
    const met = databases.every(({ rpo, rto }) => rpo?.met !== false && rto?.met !== false);
    const { unreachable } = listing;
    context.out.document({
      plan: plan.name,
      at: formatInstant(now),
      ok: met && unreachable.length === 0,
      databases,
      unreachable: unreachable.map(({ repository, error }) => ({ repository, error: error.toRecord() })),
    });
    const { paint } = context.out;
    context.out.print(databases.map((each) => lines(each, now, paint).join('\n')).join('\n\n'));
    for (const { repository, error } of unreachable) {
      context.out.warn(`repository ${repository} could not be read: ${error.message}`);
    }
    if (!met) return EXIT.checksFailed;
    return unreachable.length > 0 ? EXIT.stepFailed : EXIT.success;
  },
});

function lines(database: DatabaseStatus, now: Date, paint: Paint): string[] {
  const { proven, newest, recoveryPointSeconds: point, recoveryTimeMs: time, rpo, rto } = database;
  const name = paint('bold', database.database);
  const waiting =
    newest === null || newest.backup === proven?.backup
      ? []
      : [`  newest backup   ${newest.backup}, ${formatAge(new Date(newest.takenAt), now)} old, not proven`];
  if (proven === null || point === null) {
    return [
      `${name}: ${paint(['bold', 'red'], newest === null ? 'no backup' : 'no proven backup')}`,
      ...waiting,
      ...(rpo === null ? [] : [`  recovery point  ${verdict(rpo, paint)}`]),
      ...(rto === null ? [] : [`  recovery time   ${verdict(rto, paint)}`]),
    ];
  }
  const shown = [proven.summary ?? 'checked', ...(proven.identical ? ['identical to its source'] : [])];
  return [
    `${name}: newest proven backup is ${paint('green', `${formatAge(new Date(proven.takenAt), now)} old`)} (${proven.backup})`,
    `  proven          ${shown.join(', ')}, ${formatAge(new Date(proven.checkedAt), now)} ago`,
    `  recovery point  the data would be ${formatDuration(point * 1000)} old${suffix(rpo, paint)}`,
    time === null
      ? `  recovery time   not measured${suffix(rto, paint)}`
      : `  recovery time   the rehearsal took ${formatDuration(time)}${suffix(rto, paint)}`,
    ...waiting,
  ];
}

function suffix(objective: Objective | null, paint: Paint): string {
  return objective === null ? '' : `, ${verdict(objective, paint)}`;
}

function verdict({ seconds, met }: Objective, paint: Paint): string {
  const allowed = `${formatDuration(seconds * 1000)} allowed`;
  return met ? paint('green', `✓ ${allowed}`) : paint(['bold', 'red'], `✗ ${allowed}`);
}
