/**
 * `npm run bench -- [--size 1GB] [--runs 3] [--out bench-results.json]`, or `--only checks [--rows 5000000]`
 *
 * Runs backplan and the stock tools side by side on generated data and prints ratios. Everything is a whole
 * process, started as a user would, on one private server with default durability (fsync on).
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseSize } from '../../src/units.ts';
import { BIN } from '../helpers/cli.ts';
import { startCluster, type TestCluster } from '../helpers/cluster.ts';
import { generate, PLAN_CHECKS, SHELL_CHECKS, TABLES } from './data.ts';
import { inTurn, measure, median } from './measure.ts';

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '1GB' },
    runs: { type: 'string', default: '3' },
    out: { type: 'string', default: 'bench-results.json' },
    only: { type: 'string' },
    rows: { type: 'string', default: '5000000' },
  },
});

interface Row {
  readonly figure: string;
  readonly ours: number;
  readonly rival: number | null;
  readonly ratio: number | null;
  readonly goal: number;
  readonly unit: string;
  readonly reached: boolean;
}

const rows: Row[] = [];
const DATABASE = 'bench';

function add(figure: string, unit: string, ours: number, rival: number | null, goal: number): void {
  const ratio = rival === null ? null : ours / rival;
  const row = { figure, unit, ours, rival, ratio, goal, reached: (ratio ?? ours) <= goal };
  rows.push(row);
  const shown =
    ratio === null
      ? `${ours.toFixed(1)} ${unit}`
      : `${ratio.toFixed(2)}  (${ours.toFixed(2)} / ${(rival ?? 0).toFixed(2)} ${unit})`;
  process.stdout.write(`${row.reached ? 'ok  ' : 'MISS'} ${figure.padEnd(66)} ${shown}  goal ≤ ${goal}\n`);
}

function writePlan(folder: string, cluster: TestCluster): string {
  const file = join(folder, 'bench.yaml');
  writeFileSync(
    file,
    `version: 1
name: bench
databases:
  bench: { url: "${cluster.url(DATABASE)}" }
repositories:
  local: { path: ./repository }
suites:
  all:${PLAN_CHECKS}
jobs:
  backup:
    steps:
      dump: { uses: backup, with: { database: bench, repository: local, fingerprint: counts } }
  restore:
    steps:
      restore: { uses: restore, with: { backup: latest, repository: local, database: bench, into: sandbox } }
  rehearsal:
    steps:
      dump: { uses: backup, with: { database: bench, repository: local, fingerprint: counts } }
      restore: { uses: restore, needs: [dump], with: { backup: "\${{ steps.dump.outputs.backup }}", into: sandbox } }
      check: { uses: check, needs: [restore], with: { suite: all, database: "\${{ steps.restore.outputs.database }}", compareFingerprint: true } }
`,
  );
  return file;
}

/** A plan of at least 500 lines: databases, suites and jobs as a larger team would have them. */
function writeLongPlan(folder: string): string {
  const file = join(folder, 'long.yaml');
  const names = Array.from({ length: 18 }, (_, index) => `db${index}`);
  const text = `version: 1
name: long
timezone: Europe/Berlin
databases:
${names.map((name) => `  ${name}:\n    url: \${DATABASE_URL}\n    schemaVersion: prisma`).join('\n')}
repositories:
  local: { path: ./repository }
suites:
${names.map((name) => `  ${name}:${PLAN_CHECKS.trimEnd()}`).join('\n')}
jobs:
${names
  .map(
    (name) => `  nightly-${name}:
    schedule: { cron: "0 2 * * *", timezone: Europe/Berlin, jitter: 5m, catchUp: 12h, overlap: skip }
    timeout: 2h
    steps:
      dump:
        uses: backup
        with: { database: ${name}, repository: local }
      rehearse:
        uses: restore
        needs: [dump]
        with: { backup: "\${{ steps.dump.outputs.backup }}", into: sandbox }
      check:
        uses: check
        needs: [rehearse]
        with: { suite: ${name}, database: "\${{ steps.rehearse.outputs.database }}" }
      prune:
        uses: prune
        needs: [check]
        with: { repository: local, database: ${name}, keep: { within: 30d, proven: 3 } }`,
  )
  .join('\n')}
`;
  writeFileSync(file, text);
  if (text.split('\n').length < 500) throw new Error('the long plan is too short');
  return file;
}

/** What a careful shell runbook does, one tool after the other, one psql per check. */
function writeShell(folder: string, cluster: TestCluster): string {
  const file = join(folder, 'rehearse.sh');
  const bin = (tool: string) => join(cluster.binDirectory, tool);
  const psql = (database: string, statement: string) =>
    `"$(${bin('psql')} -X -A -t -v ON_ERROR_STOP=1 -d ${database} <<'SQL'\n${statement}\nSQL\n)"`;
  writeFileSync(
    file,
    `set -eu
${bin('pg_dump')} -Fc -f ${folder}/shell.dump ${DATABASE}
${bin('createdb')} -T template0 shell_copy
${bin('pg_restore')} --exit-on-error -d shell_copy ${folder}/shell.dump
${SHELL_CHECKS.map((statement) => `test ${psql('shell_copy', statement)} = t`).join('\n')}
${TABLES.map((name) => `test ${psql(DATABASE, `SELECT count(*) FROM "${name}"`)} = ${psql('shell_copy', `SELECT count(*) FROM "${name}"`)}`).join('\n')}
${bin('dropdb')} shell_copy
rm ${folder}/shell.dump
`,
  );
  chmodSync(file, 0o755);
  return file;
}

async function main(): Promise<void> {
  const bytes = parseSize(options.size);
  const runs = Number(options.runs);
  const folder = mkdtempSync(join(tmpdir(), 'backplan-bench-'));
  chmodSync(folder, 0o755);
  const cluster = startCluster({
    parameters: {
      fsync: 'on',
      synchronous_commit: 'on',
      full_page_writes: 'on',
      wal_level: 'replica',
      max_prepared_transactions: '0',
      max_connections: '100',
      shared_buffers: '128MB',
      autovacuum: 'on',
      jit: 'on',
      checkpoint_timeout: '5min',
      max_wal_size: '1GB',
      bgwriter_lru_maxpages: '100',
    },
  });
  try {
    const { rows: rowCount, size } = generate(cluster, DATABASE, bytes);
    process.stdout.write(
      `data: ${(size / 1e9).toFixed(2)} GB, ${rowCount} rows; ${runs} runs each, medians; ${cluster.psql('postgres', 'SHOW server_version')}\n`,
    );
    mkdirSync(join(folder, 'state'));
    const plan = writePlan(folder, cluster);
    const env = { PGHOST: cluster.socket, PGPORT: String(cluster.port), PGUSER: 'postgres' };
    const bin = (tool: string) => join(cluster.binDirectory, tool);
    const peaks: number[] = [];
    const steps: Record<string, number> = {};
    const ours = async (job: string) => {
      const { seconds, peakBytes, stdout } = await measure(process.execPath, [
        BIN,
        'run',
        plan,
        job,
        '--state',
        join(folder, 'state'),
        '--output',
        'json',
      ]);
      peaks.push(peakBytes);
      for (const step of JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}').steps ?? [])
        steps[`${job}.${step.name}`] = step.durationMs / 1000;
      return seconds;
    };
    const dumpFile = join(folder, 'stock.dump');
    const backup = await inTurn(runs, {
      ours: () => ours('backup'),
      gzip: async () => (await measure(bin('pg_dump'), ['-Fc', '-f', dumpFile, DATABASE], env)).seconds,
      raw: async () =>
        (await measure('sh', ['-c', `exec ${bin('pg_dump')} -Fc -Z0 ${DATABASE} > /dev/null`], env)).seconds,
    });
    const stored =
      Number((await measure('sh', ['-c', `cat ${folder}/repository/bench/*/archive* | wc -c`])).stdout) /
      runs;
    add('backup: ours / pg_dump -Fc to a file, time', 's', median(backup.ours), median(backup.gzip), 0.45);
    add('backup: ours / pg_dump -Fc, size', 'MB', stored / 1e6, statSync(dumpFile).size / 1e6, 1.0);
    add(
      'backup: ours / pg_dump -Fc -Z0 to /dev/null, time',
      's',
      median(backup.ours),
      median(backup.raw),
      1.15,
    );

    const restore = await inTurn(runs, {
      ours: () => ours('restore'),
      stock: async () => {
        await measure(bin('createdb'), ['-T', 'template0', 'stock_copy'], env);
        const { seconds } = await measure(
          bin('pg_restore'),
          ['-j2', '--exit-on-error', '-d', 'stock_copy', dumpFile],
          env,
        );
        await measure(bin('dropdb'), ['stock_copy'], env);
        return seconds;
      },
    });
    add(
      'restore: ours into a sandbox / pg_restore -j2 into a normal cluster',
      's',
      median(restore.ours),
      median(restore.stock),
      0.75,
    );

    const shell = writeShell(folder, cluster);
    const rehearsal = await inTurn(runs, {
      ours: () => ours('rehearsal'),
      shell: async () => (await measure('sh', [shell], env)).seconds,
    });
    add(
      'rehearsal: ours / sequential shell script',
      's',
      median(rehearsal.ours),
      median(rehearsal.shell),
      0.5,
    );
    add('memory: peak of the runner', 'MB', Math.max(...peaks) / 1e6, null, 150);

    const long = writeLongPlan(folder);
    const validate = await inTurn(Math.max(runs, 7), {
      ours: async () => (await measure(process.execPath, [BIN, 'validate', long])).seconds,
    });
    add('validate: 500-line plan, whole process', 'ms', median(validate.ours) * 1000, null, 250);
    process.stdout.write(
      `steps of the last runs (s): ${Object.entries(steps)
        .map(([name, seconds]) => `${name} ${seconds.toFixed(2)}`)
        .join(', ')}\n`,
    );
    writeFileSync(
      options.out,
      `${JSON.stringify({ size, rows: rowCount, runs, figures: rows, raw: { backup, restore, rehearsal, validate }, steps }, null, 2)}\n`,
    );
    process.stdout.write(`written to ${options.out}\n`);
  } finally {
    cluster.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (options.only === undefined) await main();
else if (options.only === 'checks') {
  const { benchChecks } = await import('./checks.ts');
  await benchChecks(Number(options.rows), Number(options.runs), add);
} else throw new Error('--only knows: checks');
