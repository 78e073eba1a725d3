/** A recorded run that shows everything a reporter has to tell. */
import type { RunEvent, RunRecord, StepRecord } from '../../src/runs/record.ts';

const AT = '2026-11-24T02:00:00.000Z';

const steps: readonly StepRecord[] = [
  {
    name: 'dump',
    uses: 'backup',
    status: 'succeeded',
    attempts: 2,
    startedAt: AT,
    endedAt: AT,
    durationMs: 4200,
    outputs: { backup: 'local:crm-20261124T020000Z-x7k2', id: 'crm', bytes: 166_000_000, rows: 1_234_567 },
  },
  {
    name: 'safety',
    uses: 'backup',
    status: 'failed',
    attempts: 1,
    durationMs: 900,
    tolerated: true,
    error: {
      code: 'CONNECTION_FAILED',
      message: 'cannot connect to app@db:5432/crm',
      hint: 'Is the server running?',
    },
  },
  {
    name: 'check',
    uses: 'check',
    status: 'failed',
    attempts: 1,
    durationMs: 61_000,
    error: { code: 'CHECKS_FAILED', message: '1 of 3 checks failed', hint: 'See the offenders.' },
    stderr: 'noise of the check',
  },
  {
    name: 'load',
    uses: 'restore',
    status: 'failed',
    attempts: 1,
    durationMs: 10,
    error: {
      code: 'RESTORE_FAILED',
      message: 'pg_restore ended with exit code 1\u001b[2J',
      detail: Array.from({ length: 30 }, (_, line) => `detail ${line}`).join('\n'),
    },
  },
  { name: 'prune', uses: 'prune', status: 'skipped', attempts: 0, skippedBecause: 'check failed' },
];

export const record: RunRecord = {
  id: '20261124T020000Z-x7k2mq',
  plan: 'crm-license-system',
  planFile: '/plans/crm.yaml',
  job: 'nightly',
  status: 'failed',
  exitCode: 1,
  verdict: 'rejected',
  trigger: 'manual',
  inputs: { backup: 'latest', at: null },
  startedAt: AT,
  endedAt: AT,
  durationMs: 125_000,
  error: { code: 'RESTORE_FAILED', message: 'step load failed: pg_restore ended with exit code 1\u001b[2J' },
  host: 'here',
  pid: 4711,
  steps,
};

const report = {
  verdict: 'rejected',
  summary: '1 of 3 checks failed',
  results: [
    {
      name: 'table User',
      kind: 'table',
      severity: 'error',
      status: 'passed',
      message: 'there',
      durationMs: 1,
    },
    {
      name: 'unique TenantLicense(tenantId, licenseType)',
      kind: 'unique',
      severity: 'error',
      status: 'failed',
      message: '3 duplicate groups',
      hint: 'remove the duplicates',
      count: 3,
      samples: [{ tenantId: 1, licenseType: 'PRO\u001b[31m' }],
      durationMs: 2,
    },
    {
      name: 'slow',
      kind: 'sql',
      severity: 'error',
      status: 'errored',
      message: '',
      error: 'timed out after 60s',
      durationMs: 3,
    },
  ],
};

export function events(logFile?: string): RunEvent[] {
  const run = { ...record, logFile };
  const pending = steps.map(({ name, uses }): StepRecord => ({ name, uses, status: 'pending', attempts: 0 }));
  const end = (index: number): RunEvent => ({
    type: 'step:finished',
    at: AT,
    step: steps[index] as StepRecord,
    ...(index === 2 ? { report } : {}),
  });
  const start = (step: string, uses: string, attempt = 1): RunEvent => ({
    type: 'step:started',
    at: AT,
    step,
    uses,
    attempt,
  });
  return [
    {
      type: 'run:started',
      at: AT,
      run: { ...run, status: 'running', exitCode: undefined, error: undefined, steps: pending },
      order: [['dump'], ['safety', 'check'], ['load'], ['prune']],
    },
    start('dump', 'backup'),
    {
      type: 'step:retrying',
      at: AT,
      step: 'dump',
      attempt: 2,
      delayMs: 1500,
      error: { code: 'CONNECTION_FAILED', message: 'refused' },
    },
    start('dump', 'backup', 2),
    {
      type: 'step:progress',
      at: AT,
      step: 'dump',
      progress: { done: 83_000_000, total: 166_000_000, unit: 'bytes', note: 'table "Order"\u0007' },
    },
    {
      type: 'step:progress',
      at: AT,
      step: 'dump',
      progress: { done: 84_000_000, total: 166_000_000, unit: 'bytes' },
    },
    {
      type: 'step:log',
      at: AT,
      step: 'dump',
      level: 'warn',
      message: 'large objects left out',
      fields: { run: 'mine', n: 3 },
    },
    { type: 'step:log', at: AT, step: 'dump', level: 'debug', message: 'pg_dump: reading schemas' },
    end(0),
    start('safety', 'backup'),
    end(1),
    start('check', 'check'),
    end(2),
    start('load', 'restore'),
    end(3),
    end(4),
    { type: 'run:log', at: AT, level: 'warn', message: 'clean-up failed: cannot stop the server' },
    { type: 'run:finished', at: AT, run },
  ];
}
