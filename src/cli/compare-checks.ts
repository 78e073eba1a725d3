/** `check --compare`: what a suite says of production and of the restored backup, side by side, and where it broke. */
import type { CheckReport } from '../report/format.ts';
import { asCheckReport } from '../report/format.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Output, Style } from './output.ts';
import { table } from './table.ts';

/** Names of the two steps that check. */
export const PRODUCTION = 'production';
export const RESTORED = 'restored';

interface Line {
  readonly name: string;
  readonly production: string;
  readonly restored: string;
  readonly broke: string;
}

/** Listens to a run; afterwards `show` prints what it heard, unless one of the two checks never ran. */
export function makeComparison(out: Output): { readonly reporter: Reporter; show(): void } {
  const heard = new Map<string, CheckReport>();
  const on: Reporter['on'] = (event) => {
    if (event.type !== 'step:finished') return;
    const report = asCheckReport(event.report);
    if (report !== undefined) heard.set(event.step.name, report);
  };
  const show = () => {
    const production = heard.get(PRODUCTION);
    const restored = heard.get(RESTORED);
    if (production === undefined || restored === undefined) return;
    const lines = compareReports(production, restored);
    const style = (status: string) => (status === 'passed' ? status : out.paint(colourOf(status), status));
    out.print();
    out.print(
      table(
        lines,
        [
          { title: 'check', value: ({ name }) => name },
          { title: 'production', value: (line) => style(line.production) },
          { title: 'backup', value: (line) => style(line.restored) },
          { title: 'where it broke', value: ({ broke }) => broke },
        ],
        (text) => out.paint('dim', text),
      ),
    );
  };
  return { reporter: { name: 'comparison', on }, show };
}

function colourOf(status: string): Style {
  return status === 'failed' || status === 'errored' ? 'red' : 'yellow';
}

/** One line for each check; the differences between the copy and its source tell who is at fault. */
function compareReports(production: CheckReport, restored: CheckReport): Line[] {
  const there = new Map(restored.results.map((result) => [result.name, result.status]));
  const differences = restored.results.filter(({ kind }) => kind === 'fingerprint');
  const faithful = differences.length > 0 && differences.every(({ status }) => status === 'passed');
  const differs = differences.some(({ status }) => status === 'failed');
  const lines = production.results.map(({ name, status }) => {
    const copy = there.get(name) ?? '';
    return { name, production: status, restored: copy, broke: whereItBroke(status, copy, faithful, differs) };
  });
  const own = differences.map(({ name, status }) => ({
    name,
    production: '',
    restored: status,
    broke: status === 'failed' ? 'in the backup or its restore: the copy is not what its source was' : '',
  }));
  return [...lines, ...own];
}

function whereItBroke(production: string, restored: string, faithful: boolean, differs: boolean): string {
  const red = (status: string) => status === 'failed' || status === 'warned';
  if (red(production) && restored === 'passed') return 'in production, after the backup';
  if (red(production) && red(restored)) return 'in production, before the backup';
  if (red(restored) && production === 'passed') {
    if (faithful) return 'in production, before the backup; mended since';
    return differs
      ? 'in the backup or its restore'
      : 'in the backup or its restore, or mended in production since';
  }
  return '';
}
