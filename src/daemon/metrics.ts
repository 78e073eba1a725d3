/**
 * Metrics for Prometheus: counters and durations from what happens, the rest looked up when it is asked for. Names
 * and base units (seconds, bytes) follow https://prometheus.io/docs/practices/naming/.
 */
import type { Registry } from 'prom-client';
import type { CheckReport } from '../checks/report-schema.ts';
import { type Backup, isProven, isWhole, newestProof, storedSize } from '../repository/manifest.ts';
import type { RunEvent, RunRecord } from '../runs/record.ts';
import { productVersion } from '../runs/version.ts';
import { parseDuration } from '../units.ts';
import type { DaemonEvent } from './events.ts';
import type { Holdings } from './holdings.ts';
import type { DaemonView } from './view.ts';

export interface Metrics {
  /** The text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
  close(): void;
}

type Client = typeof import('prom-client');

/** Runs take from a second to half a day. */
const RUN_SECONDS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 14_400, 43_200];
const LAG_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30, 60, 300];

export async function makeMetrics(daemon: DaemonView, holdings: Holdings): Promise<Metrics> {
  const client = await import('prom-client');
  const registry = new client.Registry();
  client.collectDefaultMetrics({ register: registry });
  new client.Gauge({
    name: 'backplan_build_info',
    help: 'Always 1; the version is in the label.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version: productVersion() }, 1);
  const count = countEvents(client, registry);
  lookUpJobs(client, registry, daemon);
  lookUpBackups(client, registry, daemon, holdings);
  const remove = daemon.onEvent(count);
  return { text: () => registry.metrics(), contentType: registry.contentType, close: remove };
}

function countEvents(
  { Counter, Gauge, Histogram }: Client,
  registry: Registry,
): (event: DaemonEvent) => void {
  const registers = [registry];
  const job = ['plan', 'job'] as const;
  const runs = new Counter({
    name: 'backplan_runs_total',
    help: 'Runs that ended, by how they ended; every try of a job that is retried counts.',
    labelNames: [...job, 'status', 'trigger'],
    registers,
  });
  const runSeconds = new Histogram({
    name: 'backplan_run_duration_seconds',
    help: 'How long runs took.',
    labelNames: job,
    buckets: RUN_SECONDS,
    registers,
  });
  const stepSeconds = new Gauge({
    name: 'backplan_step_last_duration_seconds',
    help: 'How long each step took when it last ran.',
    labelNames: [...job, 'step', 'uses'],
    registers,
  });
  const checks = new Counter({
    name: 'backplan_checks_total',
    help: 'Checks that were made, by outcome.',
    labelNames: [...job, 'status'],
    registers,
  });
  const deleted = new Counter({
    name: 'backplan_retention_deleted_total',
    help: 'Backups that retention deleted.',
    labelNames: job,
    registers,
  });
  const freed = new Counter({
    name: 'backplan_retention_freed_bytes_total',
    help: 'Bytes that retention freed.',
    labelNames: job,
    registers,
  });
  const dumped = new Counter({
    name: 'backplan_backup_read_bytes_total',
    help: 'Bytes that were dumped, before compression.',
    labelNames: job,
    registers,
  });
  const missed = new Counter({
    name: 'backplan_missed_firings_total',
    help: 'Firings that nothing was made up for.',
    labelNames: job,
    registers,
  });
  const overlaps = new Counter({
    name: 'backplan_overlaps_total',
    help: 'Firings that came while the job still ran or waited.',
    labelNames: [...job, 'overlap'],
    registers,
  });
  const lag = new Histogram({
    name: 'backplan_schedule_lag_seconds',
    help: 'How much later than due firings were claimed.',
    buckets: LAG_SECONDS,
    registers,
  });
  const reloads = new Counter({
    name: 'backplan_plan_reloads_total',
    help: 'Times that the plans were read again.',
    labelNames: ['reason'],
    registers,
  });
  const problems = new Counter({
    name: 'backplan_daemon_problems_total',
    help: 'Things that the daemon itself could not do.',
    labelNames: ['code'],
    registers,
  });
  const jobs = new Map<string, { plan: string; job: string }>();

  const countRun = ({ plan, job, status, trigger, durationMs, steps }: RunRecord) => {
    runs.inc({ plan, job, status, trigger });
    if (durationMs !== undefined) runSeconds.observe({ plan, job }, durationMs / 1000);
    for (const { name: step, uses, durationMs: took } of steps) {
      if (took !== undefined) stepSeconds.set({ plan, job, step, uses }, took / 1000);
    }
  };
  const countStep = (about: { plan: string; job: string }, event: RunEvent) => {
    if (event.type !== 'step:finished') return;
    const { uses, outputs = {} } = event.step;
    if (uses === 'prune') {
      if (Array.isArray(outputs.removed)) deleted.inc(about, outputs.removed.length);
      freed.inc(about, Number(outputs.bytesFreed ?? 0));
    }
    if (uses === 'backup') dumped.inc(about, Number(outputs.plainBytes ?? 0));
    if (uses === 'check' && event.report !== undefined) {
      const { total: _, ...counts } = (event.report as CheckReport).counts;
      for (const [status, number] of Object.entries(counts)) checks.inc({ ...about, status }, number);
    }
  };
  return (event) => {
    switch (event.type) {
      case 'runStarted':
        jobs.set(event.run.id, { plan: event.run.plan, job: event.run.job });
        break;
      case 'runEvent': {
        const about = jobs.get(event.runId);
        if (about !== undefined) countStep(about, event.event);
        break;
      }
      case 'runFinished':
        jobs.delete(event.run.id);
        countRun(event.run);
        break;
      case 'fired':
        lag.observe(Math.max(0, event.lagMs) / 1000);
        break;
      case 'missed':
        missed.inc({ plan: event.plan, job: event.job }, event.count);
        break;
      case 'overlapped':
        overlaps.inc({ plan: event.plan, job: event.job, overlap: event.overlap });
        break;
      case 'reloaded':
        reloads.inc({ reason: event.reason });
        break;
      case 'problem':
        problems.inc({ code: event.error.code });
        break;
      default:
    }
  };
}

/** Plans, jobs and their last runs, which also those before the daemon's start made. */
function lookUpJobs({ Gauge }: Client, registry: Registry, daemon: DaemonView): void {
  const registers = [registry];
  const labelNames = ['plan', 'job'] as const;
  const valid = new Gauge({
    name: 'backplan_plan_valid',
    help: '0 when the file cannot be used as it is now; what was loaded from it before goes on.',
    labelNames: ['file', 'plan'],
    registers,
    // The first of its group: the others are read after it.
    collect: () => fill(),
  });
  const success = new Gauge({
    name: 'backplan_job_last_success_timestamp_seconds',
    help: 'When the last run that succeeded ended.',
    labelNames,
    registers,
  });
  const failed = new Gauge({
    name: 'backplan_job_last_failed',
    help: '1 when the last run of the job did not succeed.',
    labelNames,
    registers,
  });
  const next = new Gauge({
    name: 'backplan_job_next_firing_timestamp_seconds',
    help: 'When the schedule fires next.',
    labelNames,
    registers,
  });
  const running = new Gauge({
    name: 'backplan_runs_running',
    help: 'Runs that run now.',
    labelNames,
    registers,
  });
  const queued = new Gauge({
    name: 'backplan_runs_queued',
    help: 'Runs that wait for their turn.',
    labelNames,
    registers,
  });
  const fill = () => {
    valid.reset();
    for (const { file, plan, problem } of daemon.plans()) {
      valid.set({ file, plan: plan?.name ?? '' }, problem === undefined ? 1 : 0);
    }
    const all = [success, failed, next, running, queued];
    for (const gauge of all) gauge.reset();
    for (const view of daemon.jobs()) {
      const about = { plan: view.plan, job: view.job.name };
      running.set(about, view.running.length);
      queued.set(about, view.queued.length);
      const [at] = view.nextFirings;
      if (at !== undefined) next.set(about, at.getTime() / 1000);
      const [last] = daemon.journal.listRuns({
        ...about,
        status: ['succeeded', 'failed', 'cancelled', 'interrupted'],
        limit: 1,
      });
      if (last !== undefined) failed.set(about, last.status === 'succeeded' ? 0 : 1);
      const [good] = daemon.journal.listRuns({ ...about, status: 'succeeded', limit: 1 });
      if (good?.endedAt !== undefined) success.set(about, Date.parse(good.endedAt) / 1000);
    }
  };
}

/** What the repositories hold, by database. */
function lookUpBackups({ Gauge }: Client, registry: Registry, daemon: DaemonView, holdings: Holdings): void {
  const up = new Gauge({
    name: 'backplan_repository_up',
    help: '0 when the repository could not be read; its other figures are then the last that were seen.',
    labelNames: ['plan', 'repository'],
    registers: [registry],
    collect: () => fill(),
  });
  const gauge = (name: string, help: string, labelNames: readonly string[]) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] });
  const place = ['plan', 'repository', 'database'];
  const newest = gauge(
    'backplan_backup_newest_timestamp_seconds',
    'When the newest whole backup was started.',
    place,
  );
  const proven = gauge(
    'backplan_backup_newest_proven_timestamp_seconds',
    'When the newest backup that was restored and checked was started.',
    place,
  );
  const proof = gauge(
    'backplan_backup_last_proof_timestamp_seconds',
    'When a backup was last shown to restore and to pass its checks.',
    place,
  );
  const age = gauge(
    'backplan_database_newest_proven_age_seconds',
    'Age of the newest proven backup in any repository of the plan: what a restore would lose now.',
    ['plan', 'database'],
  );
  const objective = gauge(
    'backplan_database_rpo_seconds',
    'The recovery point objective that the plan declares.',
    ['plan', 'database'],
  );
  const amount = gauge('backplan_backups', 'Backups there are.', place);
  const bytes = gauge(
    'backplan_backup_stored_bytes',
    'Bytes that the backups take in the repository.',
    place,
  );
  const last = gauge('backplan_backup_newest_stored_bytes', 'Bytes that the newest backup takes.', place);
  const broken = gauge('backplan_repository_broken_backups', 'Folders that look like backups and are none.', [
    'plan',
    'repository',
  ]);
  const free = gauge('backplan_repository_free_bytes', 'Bytes that are free where the repository is.', [
    'plan',
    'repository',
  ]);
  const fill = () => {
    up.reset();
    for (const each of [newest, proven, proof, age, objective, amount, bytes, last, broken, free])
      each.reset();
    const now = Date.now();
    for (const { plan } of daemon.plans()) {
      for (const { name, rpo } of Object.values(plan?.databases ?? {})) {
        if (rpo !== undefined)
          objective.set({ plan: plan?.name ?? '', database: name }, parseDuration(rpo) / 1000);
      }
    }
    const ages = new Map<string, { labels: { plan: string; database: string }; at: number }>();
    for (const held of holdings.known()) {
      const where = { plan: held.plan, repository: held.repository };
      up.set(where, held.problem === undefined ? 1 : 0);
      broken.set(where, held.broken);
      if (held.freeBytes !== undefined) free.set(where, held.freeBytes);
      for (const [database, own] of Map.groupBy(held.backups, ({ manifest }) => manifest.database)) {
        const labels = { ...where, database };
        amount.set(labels, own.length);
        bytes.set(
          labels,
          own.reduce((sum, { manifest }) => sum + storedSize(manifest), 0),
        );
        const whole = own.filter(isWhole);
        const [first] = whole;
        if (first !== undefined) {
          newest.set(labels, startOf(first) / 1000);
          last.set(labels, storedSize(first.manifest));
        }
        const good = whole.filter(isProven);
        const [trusted] = good;
        if (trusted === undefined) continue;
        proven.set(labels, startOf(trusted) / 1000);
        const shown = good.map((backup) => Date.parse(newestProof(backup, 'checked')?.at ?? ''));
        proof.set(labels, Math.max(...shown) / 1000);
        const key = JSON.stringify([held.plan, database]);
        const at = Math.max(startOf(trusted), ages.get(key)?.at ?? 0);
        ages.set(key, { labels: { plan: held.plan, database }, at });
      }
    }
    for (const { labels, at } of ages.values()) age.set(labels, Math.max(0, (now - at) / 1000));
  };
}

function startOf({ manifest }: Backup): number {
  return Date.parse(manifest.startedAt);
}
