/**
 * JUnit XML, as CI servers read it: one suite per check step, and one of the other steps. It knows no warning: those
 * pass, with what was found as their output.
 * Source: https://github.com/testmoapp/junitxml
 */
import { clean } from '../format.ts';
import { type CheckResult, evidenceOf, plainSteps, type ReportFormat, testOutcome } from './run-report.ts';

type StepRecord = ReturnType<typeof plainSteps>[number];

interface Case {
  readonly xml: string;
  readonly outcome: 'ok' | 'failure' | 'error' | 'skip';
  readonly milliseconds: number;
}

interface Suite {
  readonly name: string;
  readonly startedAt: string;
  readonly cases: readonly Case[];
}

export const junit: ReportFormat = {
  name: 'junit',
  render(report) {
    const { run, checks } = report;
    const started = (name: string) =>
      run.steps.find((step) => step.name === name)?.startedAt ?? run.startedAt;
    const steps = plainSteps(report);
    const suites: Suite[] = [
      ...checks.map(({ step, report: { suites: names, results } }) => ({
        name: `${step}: ${names.join(', ')}`,
        startedAt: started(step),
        cases: results.map((result) => checkCase(result, `${run.plan}.${step}`)),
      })),
      ...(steps.length === 0
        ? []
        : [
            {
              name: `steps of ${run.job}`,
              startedAt: run.startedAt,
              cases: steps.map((step) => stepCase(step, `${run.plan}.${run.job}`)),
            },
          ]),
    ];
    const all = suites.flatMap(({ cases }) => cases);
    return [
      '<?xml version="1.0" encoding="UTF-8"?>',
      `<testsuites name=${attribute(`${run.plan} ${run.job}`)} ${figures(all)} timestamp=${attribute(run.startedAt)}>`,
      ...suites.flatMap(({ name, startedAt, cases }) => [
        `  <testsuite name=${attribute(name)} ${figures(cases)} timestamp=${attribute(startedAt)} hostname=${attribute(run.host)}>`,
        ...cases.map(({ xml }) => xml),
        '  </testsuite>',
      ]),
      '</testsuites>',
      '',
    ].join('\n');
  },
};

function checkCase(result: CheckResult, classname: string): Case {
  const { name, kind, status, message, error, durationMs } = result;
  const said = error ?? message;
  const body = [said, ...evidenceOf(result)].join('\n');
  const outcome = testOutcome(result);
  const inner =
    outcome === 'failure' || outcome === 'error'
      ? `<${outcome} message=${attribute(said)} type=${attribute(status === 'failed' ? kind : status)}>${text(body)}</${outcome}>`
      : outcome === 'skip'
        ? `<skipped message=${attribute(said)}/>`
        : outcome === 'warn'
          ? `<system-out>${text(`warning: ${body}`)}</system-out>`
          : '';
  return testCase(name, classname, durationMs, outcome === 'warn' ? 'ok' : outcome, inner);
}

function stepCase(step: StepRecord, classname: string): Case {
  const { name, uses, status, error, tolerated, skippedBecause, durationMs = 0 } = step;
  const said = error?.message ?? skippedBecause ?? status;
  const body = [said, error?.hint === undefined ? '' : `hint: ${error.hint}`, error?.detail ?? '']
    .join('\n')
    .trim();
  if (status === 'succeeded') return testCase(`${name} (${uses})`, classname, durationMs, 'ok', '');
  if (status === 'skipped')
    return testCase(
      `${name} (${uses})`,
      classname,
      durationMs,
      'skip',
      `<skipped message=${attribute(said)}/>`,
    );
  if (tolerated === true)
    return testCase(
      `${name} (${uses})`,
      classname,
      durationMs,
      'ok',
      `<system-out>${text(`tolerated: ${body}`)}</system-out>`,
    );
  return testCase(
    `${name} (${uses})`,
    classname,
    durationMs,
    'error',
    `<error message=${attribute(said)} type=${attribute(error?.code ?? status)}>${text(body)}</error>`,
  );
}

function testCase(
  name: string,
  classname: string,
  milliseconds: number,
  outcome: Case['outcome'],
  inner: string,
): Case {
  const head = `    <testcase name=${attribute(name)} classname=${attribute(classname)} time="${seconds(milliseconds)}"`;
  return { xml: inner === '' ? `${head}/>` : `${head}>${inner}</testcase>`, outcome, milliseconds };
}

function figures(cases: readonly Case[]): string {
  const count = (outcome: Case['outcome']) => cases.filter((each) => each.outcome === outcome).length;
  const time = cases.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return `tests="${cases.length}" failures="${count('failure')}" errors="${count('error')}" skipped="${count('skip')}" time="${seconds(time)}"`;
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(3);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** Without what XML 1.0 cannot hold at all. */
function text(value: string): string {
  return clean(value)
    .toWellFormed()
    .replace(/[\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

function attribute(value: string): string {
  return `"${text(value).replaceAll('\n', '&#10;')}"`;
}
