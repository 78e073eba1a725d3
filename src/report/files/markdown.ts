/** For a pull request or the summary of a CI job: the verdict, what did not pass with its evidence, then all the rest folded. */
import { formatAge, formatDuration } from '../../units.ts';
import { clean, formatOutputs } from '../format.ts';
import { evidenceOf, type ReportFormat, type RunReport, testOutcome } from './run-report.ts';

export const markdown: ReportFormat = {
  name: 'markdown',
  render(report) {
    const { run, checks, backups } = report;
    const blocks = [
      `## ${verdictMark(report)} ${escaped(run.job)} of ${escaped(run.plan)}: ${verdictWord(report)}`,
      [
        `${run.startedAt}`,
        ...(run.durationMs === undefined ? [] : [formatDuration(run.durationMs)]),
        `exit code ${run.exitCode ?? '?'}`,
        `run \`${run.id}\``,
      ].join(', '),
      ...(run.error === undefined || run.error.code.startsWith('CHECKS_')
        ? []
        : [`**${run.error.code}** ${escaped(run.error.message)}`]),
      ...checks.flatMap(({ step, report: { suites, summary, database, results } }) => {
        const open = results.filter((result) => testOutcome(result) !== 'ok');
        return [
          `### ${escaped(step)}: ${escaped(summary)}`,
          `${escaped(suites.join(', '))} on ${escaped(database)}`,
          ...(open.length === 0
            ? []
            : [
                open
                  .flatMap((result) => [
                    `- **${result.status}** ${escaped(result.name)}: ${escaped(result.error ?? result.message)}`,
                    ...evidenceOf(result).map((evidence) => `  - ${escaped(evidence)}`),
                  ])
                  .join('\n'),
              ]),
          folded(
            `all ${results.length} checks`,
            table(
              ['check', 'status', 'took', 'found'],
              results.map((result) => [
                result.name,
                result.status,
                formatDuration(result.durationMs),
                result.error ?? result.message,
              ]),
            ),
          ),
        ];
      }),
      '### Steps',
      table(
        ['step', 'uses', 'status', 'took', 'result'],
        run.steps.map((step) => [
          step.name,
          step.uses,
          step.tolerated === true ? `${step.status}, tolerated` : step.status,
          step.durationMs === undefined ? '' : formatDuration(step.durationMs),
          step.error?.message ?? step.skippedBecause ?? formatOutputs(step.outputs),
        ]),
      ),
      ...(backups.length === 0
        ? []
        : [
            '### Backups',
            table(
              ['backup', 'age at the run', 'shown'],
              backups.map(({ reference, takenAt, proofs }) => [
                reference,
                formatAge(new Date(takenAt), new Date(run.endedAt ?? run.startedAt)),
                proofs.map(({ kind, passed }) => `${passed ? '✓' : '✗'} ${kind}`).join(' '),
              ]),
            ),
          ]),
    ];
    return `${blocks.join('\n\n')}\n`;
  },
};

function verdictMark({ run }: RunReport): string {
  if (run.status !== 'succeeded') return '❌';
  return run.verdict === 'verifiedWithWarnings' ? '⚠️' : '✅';
}

function verdictWord({ run }: RunReport): string {
  const verdict = run.verdict === 'verifiedWithWarnings' ? 'verified with warnings' : run.verdict;
  return verdict === undefined ? run.status : `${run.status}, ${verdict}`;
}

function folded(summary: string, body: string): string {
  return `<details><summary>${summary}</summary>\n\n${body}\n\n</details>`;
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [row(titles), row(titles.map(() => '---')), ...rows.map((cells) => row(cells.map(escaped)))].join(
    '\n',
  );
}

/** Text that stays text: no markup, no HTML, nobody mentioned. */
function escaped(text: string): string {
  return clean(text)
    .replaceAll('\n', ' ')
    .replace(/[\\`*_{}[\]()#+!|~$]/g, (character) => `\\${character}`)
    .replace(/[&<>@]/g, (character) => `&#${character.charCodeAt(0)};`);
}
