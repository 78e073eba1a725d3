/** What could be recovered of a database now, held against the rpo and rto that its plan declares. Pure. */
import type { DatabaseDefinition } from '../plan/model.ts';
import { type Backup, isProven, isWhole, newestProof } from '../repository/manifest.ts';
import { parseDuration } from '../units.ts';

export interface Objective {
  readonly seconds: number;
  readonly met: boolean;
}

export interface DatabaseStatus {
  readonly database: string;
  readonly proven: {
    readonly backup: string;
    readonly takenAt: string;
    readonly checkedAt: string;
    readonly summary: string | null;
    readonly identical: boolean;
  } | null;
  readonly newest: { readonly backup: string; readonly takenAt: string } | null;
  readonly recoveryPointSeconds: number | null;
  readonly recoveryTimeMs: number | null;
  readonly rpo: Objective | null;
  readonly rto: Objective | null;
}

/** @param backups newest first */
export function statusOf(
  { name, rpo, rto }: DatabaseDefinition,
  backups: readonly Backup[],
  now: Date,
): DatabaseStatus {
  const own = backups.filter((backup) => backup.manifest.database === name && isWhole(backup));
  const proven = own.find(isProven);
  const [newest] = own;
  const point =
    proven === undefined ? null : Math.round((now.getTime() - Date.parse(proven.manifest.startedAt)) / 1000);
  const time = proven === undefined ? null : (newestProof(proven, 'restored')?.durationMs ?? null);
  const checked = proven === undefined ? undefined : newestProof(proven, 'checked');
  return {
    database: name,
    proven:
      proven === undefined || checked === undefined
        ? null
        : {
            backup: reference(proven),
            takenAt: proven.manifest.startedAt,
            checkedAt: checked.at,
            summary: checked.summary ?? null,
            identical: newestProof(proven, 'identical')?.passed === true,
          },
    newest: newest === undefined ? null : { backup: reference(newest), takenAt: newest.manifest.startedAt },
    recoveryPointSeconds: point,
    recoveryTimeMs: time,
    rpo: objective(rpo, point === null ? null : point * 1000),
    rto: objective(rto, time),
  };
}

function objective(declared: string | undefined, actual: number | null): Objective | null {
  if (declared === undefined) return null;
  const allowed = parseDuration(declared);
  return { seconds: Math.round(allowed / 1000), met: actual !== null && actual <= allowed };
}

function reference({ repository, manifest }: Backup): string {
  return `${repository}:${manifest.id}`;
}
