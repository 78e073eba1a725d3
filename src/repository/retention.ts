/**
 * Which backups stay. Pure: manifests and proofs in, decisions with reasons out; no clock, no storage.
 *
 * A backup stays when any rule wants it. Beyond the rules the newest backup and the newest proven one always stay, and
 * the newest three while none is proven. Some choices behind that:
 *
 * - `within` counts back from the newest backup, not from now: when backups have stopped, or the clock has jumped
 *   ahead, age alone deletes nothing. `now` serves only to notice a clock that cannot be right.
 * - A newest backup that is further than that from the one before it does not count for that yet: a clock that jumped
 *   ahead for one night must not make everything old at once. The next backup settles it.
 * - `daily: 7` means the seven newest days that have a backup, not the last seven days, for the same reason.
 * - Each counting rule is applied a second time to the backups that have not failed a proof, so that a bad backup
 *   never takes the place of a good one.
 * - Of a day, week, month or year that a rule keeps, the newest proven backup stays as well as the newest: one that
 *   nobody has looked at, perhaps of the broken database before a restore, is no substitute.
 * - Backups of different extent (some tables, the schema only) are different lines: a partial backup at noon does not
 *   stand for the whole one of the night.
 */
import { BackplanError } from '../errors.ts';
import { durationSchema, type Infer, type JsonSchema } from '../schema.ts';
import { formatDuration, formatInstant, parseDuration } from '../units.ts';
import { byStart } from './catalog.ts';
import { type Backup, isProven, isWhole, newestProof, PROOF_KINDS } from './manifest.ts';
import { type Period, periodNames } from './periods.ts';
import type { BrokenBackup } from './repository.ts';

const count = { type: 'integer', minimum: 1 } as const;

export const keepSchema = {
  type: 'object',
  description:
    'What to keep; a backup stays when any rule wants it. The newest backup and the newest proven one always stay.',
  examples: [
    { within: '30d', proven: 3 },
    { daily: 7, weekly: 4, monthly: 12, yearly: 3 },
  ],
  minProperties: 1,
  additionalProperties: false,
  properties: {
    within: {
      ...durationSchema,
      description: 'Everything that is at most this much older than the newest backup.',
      examples: ['30d'],
    },
    last: { ...count, description: 'The newest N.', examples: [5] },
    daily: {
      ...count,
      description: 'The newest, and the newest proven, of each of the N newest days that have a backup.',
      examples: [7],
    },
    weekly: {
      ...count,
      description: 'The newest, and the newest proven, of each of the N newest ISO weeks.',
      examples: [4],
    },
    monthly: {
      ...count,
      description: 'The newest, and the newest proven, of each of the N newest months.',
      examples: [12],
    },
    yearly: {
      ...count,
      description: 'The newest, and the newest proven, of each of the N newest years.',
      examples: [3],
    },
    proven: {
      ...count,
      description: 'The newest N that were restored and checked, without a failure since.',
      examples: [3],
    },
  },
} as const satisfies JsonSchema;

export type Keep = Infer<typeof keepSchema>;

export interface Decision {
  readonly backup: Backup;
  readonly keep: boolean;
  /** Why it stays, or why it may go; never empty. */
  readonly reasons: readonly string[];
}

export interface DecideOptions {
  /** IANA zone in which days, weeks, months and years begin. Default: UTC. */
  readonly timezone?: string;
  /** What looks like a backup of this database but cannot be read. Anything here stops retention. */
  readonly broken?: readonly BrokenBackup[];
  /** Ids of the backups that a backup needs to be restored. Default: none. */
  readonly dependsOn?: (backup: Backup) => readonly string[];
}

/** While nothing is proven, this many stay at least. */
const UNPROVEN = 3;
const DAY = 86_400_000;
const PERIODS = { daily: 'day', weekly: 'week', monthly: 'month', yearly: 'year' } as const satisfies Record<
  string,
  Period
>;

/**
 * @param backups all backups of one database in one repository, in any order
 * @param keep as in the plan; checked again here, because expressions may have had a hand in it
 * @returns one decision per backup, oldest first
 * @throws RETENTION_REFUSED where deciding could hurt: nothing to keep by, a clock that looks wrong, a catalog with
 * broken entries, several databases at once; INPUT_INVALID for rules that make no sense
 */
export function decide(
  backups: readonly Backup[],
  keep: Keep | Readonly<Record<string, unknown>>,
  now: Date,
  options: DecideOptions = {},
): Decision[] {
  const rules = checkRules(keep);
  const sorted = [...backups].sort(byStart);
  refuseWhereItCouldHurt(sorted, now, options.broken ?? []);

  const reasons = new Map<string, string[]>(sorted.map(({ manifest }) => [manifest.id, []]));
  const say: Say = ({ manifest }, reason, remark = '') => {
    const said = reasons.get(manifest.id);
    // The second pass, with its remark, has nothing to add where the first one said the same.
    if (said !== undefined && !said.includes(reason) && !said.includes(reason + remark))
      said.push(reason + remark);
  };
  for (const line of linesOf(sorted)) {
    protect(line, say);
    applyRules(line, rules, options.timezone ?? 'UTC', say);
  }
  keepDependencies(sorted, reasons, say, options.dependsOn);
  return sorted.map((backup) => {
    const said = reasons.get(backup.manifest.id) ?? [];
    return said.length > 0
      ? { backup, keep: true, reasons: said }
      : { backup, keep: false, reasons: ['no rule keeps it'] };
  });
}

type Say = (backup: Backup, reason: string, remark?: string) => void;

/** What stays whatever the rules say. `line` is oldest first and not empty. */
function protect(line: readonly Backup[], say: Say): void {
  const extent = line.every(isWhole) ? '' : ' of its selection';
  for (const backup of line.slice(-1)) say(backup, `newest backup${extent}`);
  const proven = line.filter(isProven);
  for (const backup of proven.slice(-1)) say(backup, `newest proven backup${extent}`);
  if (proven.length > 0) return;
  for (const backup of line.slice(-UNPROVEN))
    say(backup, `one of the newest ${UNPROVEN}, none being proven yet`);
}

function applyRules(line: readonly Backup[], rules: Keep, timezone: string, say: Say): void {
  const newest = line.at(-1);
  if (rules.within !== undefined && newest !== undefined) {
    const length = parseDuration(rules.within);
    const before = line.at(-2);
    // One backup after a long gap may be one made while the clock was wrong: it alone makes nothing old.
    const anchor = before !== undefined && startOf(newest) - startOf(before) > length ? before : newest;
    for (const backup of line) {
      if (startOf(backup) < startOf(anchor) - length) continue;
      say(backup, `within ${rules.within}${anchor === newest ? '' : ' of the backup before the newest'}`);
    }
  }
  if (rules.proven !== undefined) {
    const proven = line.filter(isProven).toReversed().slice(0, rules.proven);
    for (const [index, backup] of proven.entries()) say(backup, `proven ${index + 1} of ${rules.proven}`);
  }
  const sound = line.filter((backup) => !hasFailed(backup));
  const passes = sound.length === line.length ? [line] : [line, sound];
  const name = periodNames(timezone);
  for (const backups of passes) {
    const remark = backups === line ? '' : ' without a failed proof';
    if (rules.last !== undefined) {
      for (const backup of backups.slice(-rules.last)) say(backup, `one of the last ${rules.last}`, remark);
    }
    for (const [rule, period] of Object.entries(PERIODS) as [keyof typeof PERIODS, Period][]) {
      const limit = rules[rule];
      if (limit === undefined) continue;
      // Later ones replace earlier ones of the same period; a period stays where it was first seen.
      const newestOf = (of: readonly Backup[]) =>
        new Map(of.map((backup) => [name(period, new Date(startOf(backup))), backup]));
      const proven = newestOf(backups.filter(isProven));
      for (const [label, backup] of [...newestOf(backups)].slice(-limit)) {
        const when = `${period === 'week' ? 'week ' : ''}${label}`;
        say(backup, `newest of ${when}`, remark);
        const shown = proven.get(label);
        if (shown !== undefined && shown !== backup) say(shown, `newest proven of ${when}`, remark);
      }
    }
  }
}

/** A kept backup keeps what it needs, and so on. */
function keepDependencies(
  backups: readonly Backup[],
  reasons: ReadonlyMap<string, readonly string[]>,
  say: Say,
  dependsOn: DecideOptions['dependsOn'],
): void {
  if (dependsOn === undefined) return;
  const byId = new Map(backups.map((backup) => [backup.manifest.id, backup]));
  const open = backups.filter(({ manifest }) => (reasons.get(manifest.id) ?? []).length > 0);
  const seen = new Set(open.map(({ manifest }) => manifest.id));
  for (let backup = open.pop(); backup !== undefined; backup = open.pop()) {
    for (const id of dependsOn(backup)) {
      const needed = byId.get(id);
      if (needed === undefined) continue;
      say(needed, `needed by ${backup.manifest.id}`);
      if (!seen.has(id)) {
        seen.add(id);
        open.push(needed);
      }
    }
  }
}

/** The newest statement of some kind says that it failed. Not yet tried is no failure. */
function hasFailed(backup: Backup): boolean {
  return PROOF_KINDS.some((kind) => newestProof(backup, kind)?.passed === false);
}

/** Backups of equal extent, oldest first. */
function linesOf(backups: readonly Backup[]): Backup[][] {
  const lines = new Map<string, Backup[]>();
  for (const backup of backups) {
    const extent = JSON.stringify(
      Object.entries(backup.manifest.selection)
        .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
        .map(([key, value]) => [key, Array.isArray(value) ? [...value].sort() : value])
        .sort(),
    );
    const line = lines.get(extent);
    if (line === undefined) lines.set(extent, [backup]);
    else line.push(backup);
  }
  return [...lines.values()];
}

function refuseWhereItCouldHurt(sorted: readonly Backup[], now: Date, broken: readonly BrokenBackup[]): void {
  const databases = new Set(sorted.map(({ manifest }) => manifest.database));
  if (databases.size > 1) {
    throw refused(
      `backups of ${[...databases].join(', ')} cannot share one policy`,
      'Prune one database at a time.',
    );
  }
  const [first] = broken;
  if (first !== undefined) {
    throw refused(
      `${broken.length === 1 ? 'one folder looks' : `${broken.length} folders look`} like a backup but cannot be read: ${first.folder}: ${first.reason}`,
      'Nothing is deleted while it is unclear what exists. Is the disk well and everything mounted? If so, and the folder is of no use, move it out of the repository and prune again.',
    );
  }
  const newest = sorted.at(-1);
  if (newest === undefined) return;
  const ahead = startOf(newest) - now.getTime();
  if (ahead <= 0) return;
  throw refused(
    `backup ${newest.manifest.id} was started at ${formatInstant(new Date(startOf(newest)))}, but it is ${formatInstant(now)} now: the clock looks wrong`,
    ahead > DAY
      ? 'Compare the clock of this machine with a right one ("timedatectl"). If this clock is right, the backup was made while another was wrong: move its folder out of the repository.'
      : `Compare the clocks of the machines that use this repository ("timedatectl"), or wait ${formatDuration(ahead)}.`,
  );
}

/** @throws RETENTION_REFUSED when there is no rule, INPUT_INVALID when one makes no sense */
function checkRules(keep: Keep | Readonly<Record<string, unknown>>): Keep {
  const rules = Object.entries(keep).filter(([, value]) => value !== undefined && value !== null);
  if (rules.length === 0) {
    throw refused(
      'the policy keeps nothing: it has no rule',
      'Say what to keep, for example keep: { within: 30d, proven: 3 }.',
    );
  }
  for (const [rule, value] of rules) {
    if (!Object.hasOwn(keepSchema.properties, rule)) {
      throw new BackplanError('INPUT_INVALID', `keep has no rule "${rule}"`, {
        hint: `The rules are ${Object.keys(keepSchema.properties).join(', ')}.`,
      });
    }
    if (rule === 'within') {
      if (typeof value !== 'string' || parseDuration(value) <= 0) {
        throw new BackplanError(
          'INPUT_INVALID',
          `keep.within must be a duration such as 30d, not ${JSON.stringify(value)}`,
        );
      }
    } else if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
      throw new BackplanError(
        'INPUT_INVALID',
        `keep.${rule} must be a whole number from 1, not ${JSON.stringify(value)}`,
      );
    }
  }
  return Object.fromEntries(rules) as Keep;
}

function startOf({ manifest }: Backup): number {
  return Date.parse(manifest.startedAt);
}

function refused(message: string, hint: string): BackplanError {
  return new BackplanError('RETENTION_REFUSED', `nothing was deleted: ${message}`, { hint });
}
