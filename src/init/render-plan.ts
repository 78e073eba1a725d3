/** A complete, commented plan for one database. Pure: text from what was asked for and found. */
import { commentText, flowText, scalarText } from '../plan/write.ts';
import { renderSuite } from './render-checks.ts';
import type { Suggestion } from './subject.ts';

export interface PlanWishes {
  /** Name of the plan and of its database. */
  readonly name: string;
  /** The environment variable that holds the url. */
  readonly variable: string;
  /** Folder of the repository; may hold `${NAME}`. */
  readonly backups: string;
  /** IANA zone. */
  readonly timezone: string;
  /** Cron expression of the nightly job. */
  readonly cron: string;
  /** How long backups are kept, for example 30d. */
  readonly keep: string;
  /** A preset of `schemaVersion`. */
  readonly migrations?: string;
  /** The checks of the suite; at least one. */
  readonly checks: readonly Suggestion[];
  /** What a reader should know of how the suite came about. */
  readonly remarks: readonly string[];
}

/** Name of the suite in the plan. */
export const SUITE = 'consistency';

export function renderPlan(wishes: PlanWishes): string {
  const { name, variable, backups, timezone, cron, keep, migrations } = wishes;
  const database = scalarText(name);
  const remarks = wishes.remarks.map((remark) => `${commentText(remark, '  ')}\n`).join('');
  const suite = renderSuite(wishes.checks, '    ');
  const output = (step: string, key: string) => `"\${{ steps.${step}.outputs.${key} }}"`;
  return `# Written by \`backplan init\`. What a reader should know:
# - a backup counts only when it was restored and checked: nightly does that in a throw-away server every night;
# - restore never touches production before a restored copy has passed the checks, and keeps what was production for a
#   day (backplan rollback);
# - retention never removes the newest backup nor the newest proven one, whatever the rules say.
#
# Environment: ${variable}, a url of the role that owns the tables. It stays out of this file.
version: 1
name: ${database}
timezone: ${scalarText(timezone)}

databases:
  ${database}:
    url: \${${variable}}
${migrations === undefined ? '' : `    # The newest finished migration is noted in every backup.\n    schemaVersion: ${scalarText(migrations)}\n`}
repositories:
  # Best on another disk than the database, and copied elsewhere.
  local:
    path: ${/^[\w./${}:-]+$/.test(backups) ? backups : JSON.stringify(backups)}

# To be told when a job fails, and when it is well again: set OPS_WEBHOOK, take the comment signs away, here and at
# \`notify\` of the jobs.
# notifiers:
#   ops: { webhook: "\${OPS_WEBHOOK}", on: [failure, recovered] }

suites:
  # What must hold in production and in every copy of it, as the database was when this was written.
  # \`backplan suite PLAN --refresh\` shows what has been added since.
${remarks}  ${SUITE}:
${suite}
jobs:
  nightly:
    description: Back up, restore the backup into a throw-away server, check and compare it, tidy up.
    schedule: { cron: ${flowText(cron)}, jitter: 5m, catchUp: 12h, overlap: skip }
    timeout: 6h
    # notify: [ops]
    steps:
      dump:
        uses: backup
        retry: { attempts: 3, backoff: 30s }
        with:
          database: ${database}
          repository: local
          # Hashes of every column, taken in the very snapshot of the dump.
          fingerprint: content
      rehearse:
        uses: restore
        needs: [dump]
        with: { backup: ${output('dump', 'backup')}, into: sandbox }
      check:
        uses: check
        needs: [rehearse]
        with: { suite: ${SUITE}, database: ${output('rehearse', 'database')}, compareFingerprint: true }
      # Only after a good night: a backup that failed its checks pushes nothing out.
      prune:
        uses: prune
        needs: [check]
        with: { repository: local, database: ${database}, keep: { within: ${keep}, weekly: 8, monthly: 12, proven: 3 } }
      # What a restore replaced is kept for a day.
      tidy:
        uses: drop
        with: { previous: ${database} }

  restore:
    description: Replace production by a backup, after the restored copy has passed the checks.
    timeout: 12h
    # notify: [ops]
    inputs:
      backup:
        type: backup
        default: latest-proven
        description: latest-proven, latest, an id, or label:TEXT
    steps:
      # Connection, versions, rights, disk space, extensions, roles, the archive: before anything is touched.
      preflight:
        uses: preflight
        with: { database: ${database}, backup: "\${{ inputs.backup }}" }
      # Whatever state production is in, it may be wanted later. It may also be too broken for a dump.
      safety:
        uses: backup
        needs: [preflight]
        continueOnError: true
        with: { database: ${database}, repository: local, label: before-restore }
      stage:
        uses: restore
        needs: [safety]
        with: { backup: "\${{ inputs.backup }}", into: { staging: ${database} } }
      check:
        uses: check
        needs: [stage]
        with: { suite: ${SUITE}, database: ${output('stage', 'database')}, compareFingerprint: true }
      promote:
        uses: promote
        needs: [check]
        with: { staging: ${output('stage', 'database')}, database: ${database}, keepPrevious: 24h }
      # After a promotion there is nothing to drop; after a failure this removes the copy.
      cleanup:
        uses: drop
        needs: [promote]
        if: \${{ always() }}
        with: { staging: ${output('stage', 'database')} }
`;
}
