/** Listens to a run and hands on what somebody may want to be told of. */
import type { Job } from '../plan/model.ts';
import { asCheckReport, formatChecks } from '../report/format.ts';
import type { Reporter } from '../report/reporter.ts';
import type { Occurrence } from './occurrence.ts';

export function runReporter(job: Job, handle: (occurrence: Occurrence) => void): Reporter {
  const remarks: string[] = [];
  return {
    name: 'notifications',
    on: (event) => {
      if (job.notify.length === 0) return;
      if (event.type === 'run:started') handle({ type: 'runStarted', run: event.run });
      if (event.type === 'step:finished') {
        const report = asCheckReport(event.report);
        if (report !== undefined) remarks.push(...formatChecks(report, (_style, text) => text));
      }
      if (event.type === 'run:finished')
        handle({ type: 'runFinished', run: event.run, remarks: [...remarks] });
    },
  };
}
