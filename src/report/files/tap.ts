/**
 * TAP version 14. A warning is a failure that is known: `not ok … # TODO`.
 * Source: https://testanything.org/tap-version-14-specification.html
 */
import { clean } from '../format.ts';
import { evidenceOf, plainSteps, type ReportFormat, testOutcome } from './run-report.ts';

interface Point {
  readonly ok: boolean;
  readonly name: string;
  readonly directive?: string;
  readonly diagnostic?: Readonly<Record<string, string | number | readonly string[]>>;
}

export const tap: ReportFormat = {
  name: 'tap',
  render(report) {
    const points: Point[] = [
      ...report.checks.flatMap(({ step, report: { results } }) =>
        results.map((result): Point => {
          const outcome = testOutcome(result);
          const said = result.error ?? result.message;
          const name = `${step}: ${result.name}`;
          if (outcome === 'ok') return { ok: true, name };
          if (outcome === 'skip') return { ok: true, name, directive: `SKIP ${said}` };
          const evidence = evidenceOf(result);
          return {
            ok: false,
            name,
            ...(outcome === 'warn' ? { directive: `TODO warning: ${said}` } : {}),
            diagnostic: {
              message: said,
              severity: outcome === 'warn' ? 'todo' : outcome === 'failure' ? 'fail' : 'error',
              kind: result.kind,
              status: result.status,
              duration_ms: result.durationMs,
              ...(evidence.length === 0 ? {} : { evidence }),
            },
          };
        }),
      ),
      ...plainSteps(report).map(({ name: step, uses, status, error, tolerated, skippedBecause }): Point => {
        const name = `step ${step} (${uses})`;
        if (status === 'succeeded') return { ok: true, name };
        if (status === 'skipped') return { ok: true, name, directive: `SKIP ${skippedBecause ?? ''}` };
        const { code = status, message = status, hint } = error ?? {};
        return {
          ok: false,
          name,
          ...(tolerated === true ? { directive: 'TODO tolerated by the plan' } : {}),
          diagnostic: { message, code, ...(hint === undefined ? {} : { hint }) },
        };
      }),
    ];
    return `${['TAP version 14', `1..${points.length}`, ...points.flatMap(lines)].join('\n')}\n`;
  },
};

function lines({ ok, name, directive, diagnostic }: Point, index: number): string[] {
  const ending = directive === undefined ? '' : ` # ${line(directive)}`;
  return [
    `${ok ? 'ok' : 'not ok'} ${index + 1} - ${line(name)}${ending}`,
    ...(diagnostic === undefined
      ? []
      : [
          '  ---',
          // JSON is YAML.
          ...Object.entries(diagnostic).map(([key, value]) => `  ${key}: ${JSON.stringify(tidy(value))}`),
          '  ...',
        ]),
  ];
}

function tidy(value: string | number | readonly string[]): string | number | readonly string[] {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? clean(value) : value.map((each) => clean(each));
}

function line(text: string): string {
  return clean(text).replaceAll('\n', ' ').replaceAll('\\', '\\\\').replaceAll('#', '\\#').trim();
}
