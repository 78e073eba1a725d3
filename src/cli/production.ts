/** What a person must know before production is replaced: where it is, what comes instead, what will be lost. */
import { toBackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import { describeConnection, parseConnection } from '../postgres/connection.ts';
import { type Backup, isProven } from '../repository/manifest.ts';
import { Masker } from '../secret.ts';
import { formatAge, formatInstant } from '../units.ts';
import type { CommandContext } from './command.ts';

type Fact = readonly [label: string, value: string];

/** `crm on backup@db.example:5432/crm`'s second half; no password. @throws ENV_MISSING */
export async function describeServer(plan: Plan, database: string): Promise<string> {
  const { resolveEnvironment } = await import('../plan/resolve.ts');
  const definition = plan.databases[database];
  if (definition === undefined) return 'a server that the plan does not know';
  const alone = {
    ...plan,
    databases: { [database]: definition },
    repositories: {},
    notifiers: {},
    suites: {},
  };
  const resolved = await resolveEnvironment(alone, process.env, new Masker());
  return describeConnection(parseConnection(resolved.databases[database]?.url ?? ''));
}

export interface Replacement {
  readonly plan: Plan;
  readonly database: string;
  /** A reference as the plan and the command line take them, or undefined when only the run will know. */
  readonly backup: string | undefined;
  readonly repository: string | undefined;
  /** Of an archive that no repository holds. */
  readonly path?: string;
  readonly keepPrevious: string;
  readonly suites: readonly string[];
}

/** The facts of a confirmation, as far as they can be found out beforehand. */
export async function replacementFacts(context: CommandContext, change: Replacement): Promise<Fact[]> {
  const { plan, database, keepPrevious, suites } = change;
  return [
    ['database', `${database} on ${await describeServer(plan, database)}`],
    ...(await backupFacts(context, change)),
    [
      'kept',
      `what is production now stays beside it for ${keepPrevious}; \`backplan rollback\` swaps it back`,
    ],
    [
      'checks',
      suites.length === 0
        ? 'NONE: nothing is checked before promotion'
        : `${suites.join(', ')} must pass first`,
    ],
    ['sessions', 'all connections to the database are ended when it is swapped'],
  ];
}

async function backupFacts(context: CommandContext, change: Replacement): Promise<Fact[]> {
  if (change.path !== undefined) {
    return [
      ['comes back', `the archive ${change.path}, whose age and content backplan does not know`],
      ['will be lost', 'everything that is not in this archive'],
    ];
  }
  if (change.backup === undefined) return [['will be lost', 'everything written since the backup was taken']];
  const found = await findBackup(context, change, change.backup);
  if (typeof found === 'string') {
    return [
      ['comes back', `${change.backup} (${found})`],
      ['will be lost', 'everything written since then'],
    ];
  }
  const { manifest } = found;
  const at = new Date(manifest.startedAt);
  const age = formatAge(at, new Date());
  return [
    [
      'comes back',
      `${manifest.id}, ${age} old${manifest.label === null ? '' : `, label ${manifest.label}`}, ${
        isProven(found) ? 'proven' : 'NOT proven by a restore and checks yet'
      }`,
    ],
    ['will be lost', `everything written to ${change.database} after ${formatInstant(at)} (the last ${age})`],
  ];
}

/** The backup, or why it cannot be told. */
async function findBackup(
  context: CommandContext,
  { plan, database, repository }: Replacement,
  reference: string,
): Promise<Backup | string> {
  const app = await context.app();
  const [, prefix, rest] = /^([A-Za-z0-9_.-]+):(.*)$/.exec(reference) ?? [];
  const placed = prefix !== undefined && prefix !== 'label' && Object.hasOwn(plan.repositories, prefix);
  const names = placed ? [prefix] : repository === undefined ? Object.keys(plan.repositories) : [repository];
  let reason = 'the plan declares no repository';
  for (const name of names) {
    try {
      const wanted = placed && rest !== undefined ? rest : reference;
      return await (await app.repository(plan, name)).find(wanted, database);
    } catch (error) {
      reason = toBackplanError(error).message;
    }
  }
  return reason;
}
