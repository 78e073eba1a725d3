/** What a person must know before production is replaced: where it is, what comes instead, what will be lost. */
import type { Plan } from '../plan/model.ts';
import { describeConnection, parseConnection } from '../postgres/connection.ts';
import { type Backup, isProven } from '../repository/manifest.ts';
import { Masker } from '../secret.ts';
import { formatAge, formatInstant } from '../units.ts';

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
  /** What comes instead: a backup, an archive that no repository holds, or unknown until the run. */
  readonly source: Backup | { readonly path: string } | undefined;
  readonly keepPrevious: string;
  readonly suites: readonly string[];
}

/** The facts of a confirmation, as far as they can be found out beforehand. @throws ENV_MISSING */
export async function replacementFacts(change: Replacement): Promise<Fact[]> {
  const { plan, database, keepPrevious, suites } = change;
  return [
    ['database', `${database} on ${await describeServer(plan, database)}`],
    ...sourceFacts(change),
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

function sourceFacts({ source, database }: Replacement): Fact[] {
  if (source === undefined) return [['will be lost', 'everything written since the backup was taken']];
  if ('path' in source) {
    return [
      ['comes back', `the archive ${source.path}, whose age and content backplan does not know`],
      ['will be lost', 'everything that is not in this archive'],
    ];
  }
  const { manifest } = source;
  const at = new Date(manifest.startedAt);
  const age = formatAge(at, new Date());
  return [
    [
      'comes back',
      `${manifest.id}, ${age} old${manifest.label === null ? '' : `, label ${manifest.label}`}, ${
        isProven(source) ? 'proven' : 'NOT proven by a restore and checks yet'
      }`,
    ],
    ['will be lost', `everything written to ${database} after ${formatInstant(at)} (the last ${age})`],
  ];
}
