/**
 * One self-contained page, fit to be sent to an auditor: what was restored, from when, how long it took, every check,
 * the proof chain, versions. No script, nothing loaded; all text is escaped by `html`.
 */
import { formatBytes, formatDuration } from '../../units.ts';
import { clean, formatCount, formatOutputs } from '../format.ts';
import { type BackupFacts, evidenceOf, type ReportFormat, type RunReport } from './run-report.ts';

export const html: ReportFormat = {
  name: 'html',
  render(report) {
    const { run, checks, backups, tools, at } = report;
    const title = `${run.job} of ${run.plan}, ${run.startedAt}`;
    return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<h1>${run.job} of ${run.plan}</h1>
<p class="verdict ${run.status === 'succeeded' ? 'good' : 'bad'}">${run.status}${run.verdict === undefined ? '' : `, ${VERDICTS[run.verdict]}`}</p>
${run.error === undefined ? '' : markup`<p class="bad">${run.error.code} ${run.error.message}</p>`}
${facts([
  ['Run', run.id],
  ['Began', run.startedAt],
  ['Ended', run.endedAt ?? 'not ended'],
  ['Took', run.durationMs === undefined ? '' : formatDuration(run.durationMs)],
  ['Started by', `${run.trigger} on ${run.host}`],
  ['Plan file', run.planFile],
  [
    'Inputs',
    Object.entries(run.inputs)
      .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
      .join(', ') || 'none',
  ],
  ['Exit code', String(run.exitCode ?? '')],
  ['Tools', `backplan ${tools.backplan}, Node ${tools.node}`],
])}
${restores(report)}
${checks.map(checkSection)}
<h2>Steps</h2>
${table(
  ['Step', 'Kind', 'Status', 'Began', 'Took', 'Result'],
  run.steps.map((step) => [
    step.name,
    step.uses,
    step.tolerated === true ? `${step.status}, tolerated by the plan` : step.status,
    step.startedAt ?? '',
    step.durationMs === undefined ? '' : formatDuration(step.durationMs),
    step.error === undefined
      ? (step.skippedBecause ?? formatOutputs(step.outputs))
      : `${step.error.code} ${step.error.message}`,
  ]),
)}
${backups.map(backupSection)}
<footer>Written ${at} by backplan ${tools.backplan}.</footer>
</body>
</html>
`.text;
  },
};

const VERDICTS = {
  verified: 'verified',
  verifiedWithWarnings: 'verified with warnings',
  rejected: 'rejected',
  inconclusive: 'inconclusive',
} as const;

function restores({ run, backups }: RunReport): Markup | string {
  const restored = run.steps.filter(({ uses }) => uses === 'restore');
  if (restored.length === 0) return '';
  return markup`<h2>What was restored</h2>
${table(
  ['Step', 'Backup', 'Data as of', 'Into', 'Status', 'Took', 'Size'],
  restored.map(({ name, status, outputs, durationMs }) => {
    const { backup, database, bytes } = outputs ?? {};
    const from = backups.find(({ reference }) => reference === backup);
    return [
      name,
      typeof backup === 'string' ? backup : 'an archive from elsewhere',
      from?.takenAt ?? 'unknown',
      typeof database === 'string' ? database : '',
      status,
      durationMs === undefined ? '' : formatDuration(durationMs),
      typeof bytes === 'number' ? formatBytes(bytes) : '',
    ];
  }),
)}`;
}

function checkSection({ step, report }: RunReport['checks'][number]): Markup {
  return markup`<h2>Checks of ${step}: ${report.summary}</h2>
${facts([
  ['Suites', report.suites.join(', ')],
  ['Database', report.database],
  ['Verdict', VERDICTS[report.verdict]],
  ['Took', formatDuration(report.durationMs)],
])}
<table>
<thead><tr><th>Check</th><th>Kind</th><th>Severity</th><th>Status</th><th>Took</th><th>Found</th></tr></thead>
<tbody>
${report.results.map((result) => {
  const evidence = result.status === 'passed' ? [] : evidenceOf(result);
  return markup`<tr class="${result.status}"><td>${result.name}</td><td>${result.kind}</td><td>${result.severity}</td><td>${result.status}</td><td>${formatDuration(result.durationMs)}</td><td>${result.error ?? result.message}${evidence.length === 0 ? '' : markup`<pre>${evidence.join('\n')}</pre>`}</td></tr>
`;
})}</tbody>
</table>`;
}

function backupSection(backup: BackupFacts): Markup {
  const { source, tools } = backup;
  return markup`<h2>Backup ${backup.reference}</h2>
${facts([
  ['Database', `${backup.database} (${source.name})`],
  ['Data as of', backup.takenAt],
  ['Took', formatDuration(backup.durationMs)],
  ['Rows', backup.rows === null ? 'not counted' : formatCount(backup.rows)],
  ['Server', `PostgreSQL ${source.serverVersion}`],
  ['Schema version', source.schemaVersion ?? 'unknown'],
  ['Made with', `backplan ${tools.backplan}, pg_dump ${tools.pgDump}, plan ${backup.plan}`],
  ['SHA-256 of the manifest', backup.checksum ?? 'none'],
])}
<h3>Proof chain</h3>
${
  backup.proofs.length === 0
    ? markup`<p>Nothing was shown of it yet.</p>`
    : table(
        ['Shown', 'When', 'By run', 'What'],
        backup.proofs.map(({ kind, passed, at, run, suite, summary, serverVersion, durationMs }) => [
          `${kind}${passed ? '' : ': FAILED'}`,
          at,
          run,
          [
            suite,
            summary,
            serverVersion === undefined ? undefined : `on PostgreSQL ${serverVersion}`,
            durationMs === undefined ? undefined : `in ${formatDuration(durationMs)}`,
          ]
            .filter((part) => part !== undefined)
            .join(', '),
        ]),
      )
}
<h3>Files</h3>
${table(
  ['File', 'Size', 'SHA-256'],
  backup.files.map(({ path, size, sha256 }) => [path, formatBytes(size), sha256]),
)}`;
}

function facts(pairs: readonly (readonly [string, string])[]): Markup {
  return markup`<dl>
${pairs.map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>\n`)}</dl>`;
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): Markup {
  return markup`<table>
<thead><tr>${titles.map((title) => markup`<th>${title}</th>`)}</tr></thead>
<tbody>
${rows.map((cells) => markup`<tr>${cells.map((cell) => markup`<td>${cell}</td>`)}</tr>\n`)}</tbody>
</table>`;
}

/** Text that is HTML already. */
class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | Markup | readonly Part[];

/** A template whose values are escaped unless they are Markup. */
function markup(literals: TemplateStringsArray, ...values: readonly Part[]): Markup {
  return new Markup(
    literals.reduce((sofar, literal, index) => sofar + escaped(values[index - 1] ?? '') + literal),
  );
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(value: Part): string {
  if (value instanceof Markup) return value.text;
  if (typeof value !== 'string') return value.map(escaped).join('');
  return clean(value)
    .toWellFormed()
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

const STYLE = `
body { font: 14px/1.5 system-ui, sans-serif; color: #1c1c1c; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #ccc; } h3 { font-size: 1rem; }
.verdict { font-size: 1.2rem; font-weight: 600; } .good { color: #176a2c; } .bad { color: #a3161b; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.1rem 1rem; } dt { color: #666; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem; border-bottom: 1px solid #e4e4e4; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; margin: 0.25rem 0; font-size: 12px; }
tr.failed td, tr.errored td { background: #fdecec; } tr.warned td, tr.vacuous td { background: #fff6dc; }
footer { margin-top: 2rem; color: #666; }
@media print { body { margin: 0; } tr { break-inside: avoid; } }
`;
