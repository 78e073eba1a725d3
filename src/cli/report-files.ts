/** `--report FORMAT=FILE`: what a run showed, written to files when it has ended. */
import { randomBytes } from 'node:crypto';
import { rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { App } from '../app.ts';
import { BackplanError } from '../errors.ts';
import type { Plan } from '../plan/model.ts';
import type { Reporter } from '../report/reporter.ts';
import type { RunRecord } from '../runs/record.ts';
import { productVersion } from '../runs/version.ts';
import { repeatedOption } from './command.ts';

/** Its names, so that a command need not load the formats for its `--help`. */
const FORMATS = ['junit', 'tap', 'json', 'markdown', 'html'] as const;

export const reportOption = repeatedOption(
  '--report <format=file>',
  `write a report when it has ended: ${FORMATS.join(', ')}`,
  { completes: 'file' },
);

interface ReportFiles {
  readonly reporter: Reporter;
  /** Writes them all. @throws REPORT_FAILED naming those that could not be written */
  write(record: RunRecord): Promise<void>;
}

/**
 * @throws USAGE for what is no `FORMAT=FILE` or stands in no folder: told before anything is run
 */
export async function openReports(
  wanted: readonly string[],
  app: App,
  plan: Plan,
): Promise<ReportFiles | undefined> {
  if (wanted.length === 0) return undefined;
  const { gatherReport, backupFacts, backupsOf } = await import('../report/files/run-report.ts');
  const { reportFormats } = await import('../report/files/index.ts');
  const files: { format: (typeof reportFormats)[number]; file: string }[] = [];
  for (const each of wanted) {
    const [, name, path] = /^([^=]+)=(.+)$/s.exec(each) ?? [];
    const format = reportFormats.find((known) => known.name === name);
    if (format === undefined || path === undefined) {
      throw new BackplanError('USAGE', `--report "${each}" is not of the form format=file`, {
        hint: `Formats: ${FORMATS.join(', ')}. For example --report junit=checks.xml.`,
      });
    }
    const file = resolve(path);
    const folder = await stat(dirname(file)).catch(() => undefined);
    if (folder?.isDirectory() !== true) {
      throw new BackplanError('USAGE', `--report ${each}: there is no folder ${dirname(file)}`);
    }
    files.push({ format, file });
  }
  const { reporter, checks } = gatherReport();
  return {
    reporter,
    write: async (record) => {
      const backups = [];
      for (const reference of backupsOf(record)) {
        const [repository = '', id = ''] = reference.split(/:(.*)/s);
        // Pruned meanwhile, or out of reach: the report is not the place to fail for it.
        const found = await Promise.resolve()
          .then(async () => await (await app.repository(plan, repository)).find(id))
          .catch(() => undefined);
        if (found !== undefined) backups.push(backupFacts(found));
      }
      const report = {
        reportVersion: 1,
        kind: 'run',
        at: new Date().toISOString(),
        tools: { backplan: productVersion(), node: process.version },
        run: record,
        checks,
        backups,
      } as const;
      const problems: string[] = [];
      for (const { format, file } of files) {
        await replaceFile(file, format.render(report)).catch((error: Error) =>
          problems.push(`${format.name}: ${error.message}`),
        );
      }
      if (problems.length > 0) {
        throw new BackplanError(
          'REPORT_FAILED',
          `not every report could be written: ${problems.join('; ')}`,
          {
            hint: 'The run itself is not touched by this; backplan runs PLAN shows it.',
          },
        );
      }
    },
  };
}

/** Whoever waits for the file never sees half of it. */
async function replaceFile(file: string, text: string): Promise<void> {
  const device = await stat(file).then(
    (found) => !found.isFile(),
    () => false,
  );
  // /dev/stdout and pipes cannot be replaced.
  if (device) return await writeFile(file, text);
  const partial = `${file}.${randomBytes(4).toString('hex')}.partial`;
  try {
    await writeFile(partial, text);
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
