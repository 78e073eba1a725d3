/** For programs: everything, by `schemas/run-report.schema.json`. */
import type { ReportFormat } from './run-report.ts';

export const json: ReportFormat = {
  name: 'json',
  render: (report) => `${JSON.stringify(report, null, 2)}\n`,
};
