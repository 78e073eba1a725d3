/**
 * What report files are made of: the run, every check report of its steps, and the backups it made or restored with
 * their proofs. Gathered from the events of the run; already masked.
 */
import { checkReportSchema } from '../../checks/report-schema.ts';
import type { Backup } from '../../repository/manifest.ts';
import type { RunEvent, RunRecord } from '../../runs/record.ts';
import { runSchema } from '../../runs/record-schema.ts';
import type { Infer, JsonSchema } from '../../schema.ts';
import { asCheckReport } from '../format.ts';
import type { Reporter } from '../reporter.ts';

const instant = { type: 'string', format: 'date-time' } as const;
const text = { type: 'string' } as const;

export const backupFactsSchema = {
  type: 'object',
  description: 'A backup that the run made, restored or looked at.',
  required: [
    'reference',
    'database',
    'plan',
    'takenAt',
    'durationMs',
    'rows',
    'source',
    'tools',
    'checksum',
    'files',
    'proofs',
  ],
  additionalProperties: false,
  properties: {
    reference: { ...text, description: 'repository:id.' },
    database: text,
    plan: { ...text, description: 'The plan that made it.' },
    takenAt: { ...instant, description: 'When it was begun: what it holds is of then.' },
    durationMs: { type: 'integer', minimum: 0 },
    rows: { type: ['integer', 'null'], description: 'null when it has no fingerprint.' },
    source: {
      type: 'object',
      required: ['name', 'serverVersion', 'schemaVersion'],
      additionalProperties: false,
      properties: { name: text, serverVersion: text, schemaVersion: { type: ['string', 'null'] } },
    },
    tools: {
      type: 'object',
      required: ['backplan', 'pgDump'],
      additionalProperties: false,
      properties: { backplan: text, pgDump: text },
    },
    checksum: { type: ['string', 'null'], description: 'SHA-256 of its manifest.' },
    files: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'size', 'sha256'],
        additionalProperties: false,
        properties: { path: text, size: { type: 'integer', minimum: 0 }, sha256: text },
      },
    },
    proofs: {
      type: 'array',
      description: 'What was ever shown of it, oldest first.',
      items: {
        type: 'object',
        required: ['kind', 'passed', 'at', 'run'],
        additionalProperties: false,
        properties: {
          kind: text,
          passed: { type: 'boolean' },
          at: instant,
          run: text,
          suite: text,
          summary: text,
          serverVersion: text,
          durationMs: { type: 'integer', minimum: 0 },
        },
      },
    },
  },
} as const satisfies JsonSchema;

const { $schema: _run, ...run } = runSchema;
const { $schema: _check, ...check } = checkReportSchema;

export const runReportSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'backplan run report',
  description: 'What --report json=FILE writes.',
  type: 'object',
  required: ['reportVersion', 'kind', 'at', 'tools', 'run', 'checks', 'backups'],
  additionalProperties: false,
  properties: {
    reportVersion: { const: 1 },
    kind: { const: 'run' },
    at: { ...instant, description: 'When the report was written.' },
    tools: {
      type: 'object',
      required: ['backplan', 'node'],
      additionalProperties: false,
      properties: { backplan: text, node: text },
    },
    run,
    checks: {
      type: 'array',
      description: 'The report of every check step.',
      items: {
        type: 'object',
        required: ['step', 'report'],
        additionalProperties: false,
        properties: { step: text, report: check },
      },
    },
    backups: { type: 'array', items: backupFactsSchema },
  },
} as const satisfies JsonSchema & { $schema: string };

type CheckReport = Infer<typeof checkReportSchema>;
export type CheckResult = CheckReport['results'][number];
export type BackupFacts = Infer<typeof backupFactsSchema>;

export interface RunReport {
  readonly reportVersion: 1;
  readonly kind: 'run';
  readonly at: string;
  readonly tools: { readonly backplan: string; readonly node: string };
  readonly run: RunRecord;
  readonly checks: readonly { readonly step: string; readonly report: CheckReport }[];
  readonly backups: readonly BackupFacts[];
}

/** A kind of report file: pure, from the gathered report to the text of the file. */
export interface ReportFormat {
  readonly name: string;
  render(report: RunReport): string;
}

/** Listens to a run and keeps what report files need of it. */
export function gatherReport(): { reporter: Reporter; checks: RunReport['checks'] } {
  const checks: { step: string; report: CheckReport }[] = [];
  const on = (event: RunEvent) => {
    if (event.type !== 'step:finished' || asCheckReport(event.report) === undefined) return;
    checks.push({ step: event.step.name, report: event.report as CheckReport });
  };
  return { reporter: { name: 'report-files', on }, checks };
}

/** Every `repository:id` that steps of the run put out, in their order. */
export function backupsOf({ steps }: RunRecord): string[] {
  const references = steps.map(({ outputs }) => outputs?.backup).filter((each) => typeof each === 'string');
  return [...new Set(references.filter((each) => each.includes(':')))];
}

export function backupFacts({ repository, manifest, proofs }: Backup): BackupFacts {
  const { name, serverVersion, schemaVersion } = manifest.source;
  return {
    reference: `${repository}:${manifest.id}`,
    database: manifest.database,
    plan: manifest.plan,
    takenAt: manifest.startedAt,
    durationMs: manifest.durationMs,
    rows:
      manifest.fingerprint.kind === 'none'
        ? null
        : manifest.fingerprint.tables.reduce((sum, { rows }) => sum + rows, 0),
    source: { name, serverVersion, schemaVersion },
    tools: manifest.tools,
    checksum: manifest.checksum ?? null,
    files: manifest.files.map(({ path, size, sha256 }) => ({ path, size, sha256 })),
    proofs: proofs.map(({ proofVersion: _version, backup: _backup, checksum: _checksum, ...proof }) => proof),
  };
}

/** In short what a check is for a machine that knows pass, fail, error and skip: what stops a run never looks like a pass. */
export function testOutcome({ status, severity }: CheckResult): 'ok' | 'warn' | 'failure' | 'error' | 'skip' {
  if (status === 'passed') return 'ok';
  if (status === 'failed') return 'failure';
  if (status === 'warned') return 'warn';
  if (severity === 'error') return 'error';
  return status === 'skipped' || status === 'vacuous' ? 'skip' : 'warn';
}

/** Steps whose outcome is not told by their checks. */
export function plainSteps({ run: { steps }, checks }: RunReport): RunRecord['steps'] {
  const told = new Set(checks.map(({ step }) => step));
  return steps.filter(
    ({ name, error }) => !told.has(name) || (error !== undefined && !error.code.startsWith('CHECKS_')),
  );
}

/** `1 row is not enough` with where it is, as lines: what there is to know of a check that did not pass. */
export function evidenceOf({ samples, count, hint }: CheckResult): string[] {
  return [
    ...(samples ?? []).map((sample) => JSON.stringify(sample)),
    ...(samples !== undefined && count !== undefined && count > samples.length
      ? [`… and ${count - samples.length} more`]
      : []),
    ...(hint === undefined ? [] : [`hint: ${hint}`]),
  ];
}
