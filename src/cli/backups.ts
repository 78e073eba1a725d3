/** `backups`: what exists, and what was shown of each. Leads with the newest proven backup of every database. */
import { EXIT } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import {
  type Backup,
  isProven,
  isWhole,
  newestProof,
  PROOF_KINDS,
  type Proof,
  type ProofKind,
  storedSize,
} from '../repository/manifest.ts';
import { formatAge, formatBytes, formatDuration, formatInstant } from '../units.ts';
import { defineCommand, option, planArgument } from './command.ts';
import type { Paint } from './output.ts';
import { byName, openPlan } from './plan.ts';
import { type Listing, readBackups } from './read-backups.ts';
import { type Column, table } from './table.ts';

export const backups = defineCommand({
  name: 'backups',
  summary: 'list backups with size, age, duration and proof',
  description:
    'Proof says what was shown of a backup: verified (every byte read back against its checksum), restored, checked (a suite passed on the restored copy), identical (the copy has the fingerprint of the source). ✓ 3h: shown three hours ago, ✗ failed, · not tried yet. The newest backup that is proven comes first: it is the one to trust.',
  group: 'Runs',
  arguments: { plan: planArgument },
  options: {
    repository: option('-r, --repository <name>', 'only this repository', { completes: 'repository' }),
    database: option('-d, --database <name>', 'only backups of this database', { completes: 'database' }),
  },
  examples: [
    { line: 'backups plans/crm.yaml', does: 'all backups, newest first' },
    { line: 'backups plans/crm.yaml --database crm -o json', does: 'for a program' },
  ],
  exits: [EXIT.stepFailed],
  async run({ plan: file, repository, database }, context) {
    const { plan } = await openPlan(context, file);
    if (database !== undefined) byName('database', plan.databases, database);
    const names =
      repository === undefined
        ? Object.keys(plan.repositories)
        : [byName('repository', plan.repositories, repository).name];
    const listing = await readBackups(context, plan, names, database);
    const now = new Date();
    const databases = database === undefined ? databasesOf(plan, listing.backups) : [database];
    context.out.document(toJson(plan, listing, databases, now));
    context.out.print(toText(listing, databases, now, context.out.paint));
    if (listing.backups.length === 0 && listing.unreachable.length === 0) {
      context.out.note(`make one: backplan backup ${file}`);
    }
    // What could not be read is not in the listing: a script must not take that for "no backups".
    return listing.unreachable.length > 0 ? EXIT.stepFailed : EXIT.success;
  },
});

/** Those of the plan, then those that only the repositories know any more. */
function databasesOf(plan: Plan, found: readonly Backup[]): string[] {
  return [...new Set([...Object.keys(plan.databases), ...found.map(({ manifest }) => manifest.database)])];
}

/** The newest backup of a database that counts. `found` is newest first. */
function newestProven(found: readonly Backup[], database: string): Backup | undefined {
  return found.find((backup) => backup.manifest.database === database && isProven(backup));
}

function rowsOf({ manifest }: Backup): number | null {
  return manifest.fingerprint.kind === 'none'
    ? null
    : manifest.fingerprint.tables.reduce((sum, each) => sum + each.rows, 0);
}

function ageSeconds(backup: Backup, now: Date): number {
  return Math.round((now.getTime() - Date.parse(backup.manifest.startedAt)) / 1000);
}

function toJson(plan: Plan, listing: Listing, databases: readonly string[], now: Date) {
  return {
    plan: plan.name,
    at: formatInstant(now),
    newestProven: databases.map((database) => {
      const newest = newestProven(listing.backups, database);
      return newest === undefined
        ? { database, backup: null, ageSeconds: null }
        : {
            database,
            backup: newest.manifest.id,
            repository: newest.repository,
            ageSeconds: ageSeconds(newest, now),
          };
    }),
    backups: listing.backups.map((backup) => {
      const { manifest } = backup;
      return {
        id: manifest.id,
        repository: backup.repository,
        database: manifest.database,
        plan: manifest.plan,
        job: manifest.job,
        run: manifest.run,
        label: manifest.label,
        startedAt: manifest.startedAt,
        durationMs: manifest.durationMs,
        ageSeconds: ageSeconds(backup, now),
        bytes: storedSize(manifest),
        databaseBytes: manifest.source.size,
        rows: rowsOf(backup),
        method: manifest.method,
        compression: manifest.compression,
        whole: isWhole(backup),
        serverVersion: manifest.source.serverVersion,
        schemaVersion: manifest.source.schemaVersion,
        proven: isProven(backup),
        proofs: Object.fromEntries(PROOF_KINDS.map((kind) => [kind, proofOf(backup, kind)])),
      };
    }),
    broken: listing.broken.map(({ repository, folder, reason }) => ({ repository, folder, reason })),
    unreachable: listing.unreachable.map(({ repository, error }) => ({
      repository,
      error: error.toRecord(),
    })),
  };
}

function proofOf(backup: Backup, kind: ProofKind) {
  const proof = newestProof(backup, kind);
  if (proof === undefined) return null;
  const { passed, at, run, suite, summary } = proof;
  return {
    passed,
    at,
    run,
    ...(suite === undefined ? {} : { suite }),
    ...(summary === undefined ? {} : { summary }),
  };
}

function toText(listing: Listing, databases: readonly string[], now: Date, paint: Paint): string {
  const { backups: found, broken, unreachable } = listing;
  const sections = [databases.map((database) => lead(found, database, now, paint)).join('\n')];
  if (found.length > 0) {
    sections.push(table(found, columns(found, now, paint), (header) => paint('dim', header)));
  }
  if (broken.length > 0) {
    sections.push(
      [
        paint(['bold', 'red'], `${broken.length} broken, not usable:`),
        ...broken.map(({ repository, folder, reason }) => `  ${repository}: ${folder}: ${reason}`),
      ].join('\n'),
    );
  }
  for (const { repository, error } of unreachable) {
    sections.push(
      `${paint(['bold', 'red'], `repository ${repository} could not be read:`)} ${error.message}${
        error.hint === undefined ? '' : `\n  ${paint('cyan', 'hint:')} ${error.hint}`
      }`,
    );
  }
  return sections.join('\n\n');
}

function lead(found: readonly Backup[], database: string, now: Date, paint: Paint): string {
  const name = paint('bold', database);
  const all = found.filter(({ manifest }) => manifest.database === database);
  const newest = newestProven(found, database);
  if (newest !== undefined) {
    const checked = newestProof(newest, 'checked');
    const age = formatAge(new Date(newest.manifest.startedAt), now);
    const when = checked === undefined ? '' : `, ${formatAge(new Date(checked.at), now)} ago`;
    const what = checked?.summary === undefined ? '' : `: ${checked.summary}${when}`;
    return `${name}: newest proven backup is ${age} old ${paint('green', `(${newest.manifest.id}${what})`)}`;
  }
  if (all.length === 0) return `${name}: ${paint('red', 'no backup')}`;
  const counted = all.length === 1 ? 'its one backup was not' : `none of its ${all.length} backups was`;
  return `${name}: ${paint('yellow', `no proven backup, ${counted} restored and checked yet`)}`;
}

function columns(found: readonly Backup[], now: Date, paint: Paint): Column<Backup>[] {
  const several = (of: (backup: Backup) => string) => new Set(found.map(of)).size > 1;
  return [
    { title: 'BACKUP', value: ({ manifest }) => manifest.id },
    ...(several(({ manifest }) => manifest.database)
      ? [{ title: 'DATABASE', value: ({ manifest }: Backup) => manifest.database }]
      : []),
    ...(several(({ repository }) => repository)
      ? [{ title: 'REPOSITORY', value: ({ repository }: Backup) => repository }]
      : []),
    { title: 'AGE', align: 'right', value: ({ manifest }) => formatAge(new Date(manifest.startedAt), now) },
    { title: 'SIZE', align: 'right', value: ({ manifest }) => formatBytes(storedSize(manifest)) },
    { title: 'TOOK', align: 'right', value: ({ manifest }) => formatDuration(manifest.durationMs) },
    ...PROOF_KINDS.map((kind) => ({
      title: kind.toUpperCase(),
      value: (backup: Backup) => mark(newestProof(backup, kind), now, paint),
    })),
    { title: 'LABEL', value: ({ manifest }) => manifest.label ?? '' },
    { title: 'NOTE', value: (backup) => (isWhole(backup) ? '' : `partial: ${selected(backup)}`) },
  ];
}

function selected({ manifest }: Backup): string {
  return Object.entries(manifest.selection)
    .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
    .map(([key, value]) => `${key} ${Array.isArray(value) ? value.join(', ') : String(value)}`)
    .join('; ');
}

/** `✓ 3h`: shown, three hours ago. */
function mark(proof: Proof | undefined, now: Date, paint: Paint): string {
  if (proof === undefined) return paint('dim', '·');
  const symbol = proof.passed ? paint('green', '✓') : paint(['bold', 'red'], '✗');
  return `${symbol} ${formatAge(new Date(proof.at), now)}`;
}
