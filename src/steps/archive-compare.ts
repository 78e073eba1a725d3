/**
 * A restored database against the archive that it came from: for archives without a fingerprint, and, where a
 * fingerprint does not fit, to tell whether the backup or the restore is at fault. The source is not asked.
 */
import type { CheckResult } from '../checks/check-kind.ts';
import { COMPARE_NAME } from '../checks/fingerprint-results.ts';
import { BackplanError, toBackplanError } from '../errors.ts';
import { type Consume, readArchiveRows, readDatabaseRows } from '../postgres/archive-rows.ts';
import { connect, identifier } from '../postgres/client.ts';
import { type CopyDifference, compareCopyLanes, readCopyLanes } from '../postgres/copy-lanes.ts';
import { type DifferingRows, findDifferingRows, type ReadRows } from '../postgres/copy-rows.ts';
import { nameTest } from '../postgres/data-tables.ts';
import { parseName } from '../postgres/object-name.ts';
import { primaryKeyColumns } from '../postgres/primary-key.ts';
import { findTools, type Tools } from '../postgres/tools.ts';
import { type RestoreSource, toolContext } from './restore-source.ts';
import { withScratch } from './scratch.ts';
import type { DatabaseTarget, StepContext } from './step-kind.ts';

interface ArchiveComparison {
  readonly differences: readonly (CopyDifference & { readonly located?: DifferingRows })[];
  readonly tables: number;
  readonly rows: number;
  readonly sequences: number;
}

/** Tables whose differing rows are looked for: each is read twice more. */
const LOCATED = 5;

/**
 * Reads the archive and the database, both through PostgreSQL's own tools, and names the rows that differ.
 * @throws CHECKS_INCONCLUSIVE where the archive's rows are INSERT statements; BACKUP_CORRUPT, DUMP_FAILED, TOOL_MISSING
 */
async function compareWithArchive(
  source: RestoreSource,
  target: DatabaseTarget,
  except: readonly string[],
  context: StepContext,
): Promise<ArchiveComparison> {
  const applicationName = `backplan ${context.run.id} ${context.step}`;
  await using client = await connect(target.connection, { applicationName, signal: context.signal });
  const tools = await findTools(Math.max(client.serverVersion, source.dumpVersionNum ?? 0), {
    binDirectories: context.plan.settings.binDirectories,
    need: ['pg_restore', 'pg_dump'],
  });
  const ofDatabase = <T>(consume: Consume<T>, table?: string) =>
    readDatabaseRows(
      tools,
      target.connection,
      { ...toolContext(context), applicationName, ...(table === undefined ? {} : { table }) },
      consume,
    );
  return await withArchiveRows(source, tools, context, async (ofArchive) => {
    // One after the other: on failure nothing goes on behind the step's back.
    const archive = await ofArchive(readCopyLanes);
    if (archive.inserts) {
      throw new BackplanError('CHECKS_INCONCLUSIVE', `${source.label} holds its rows as INSERT statements`, {
        hint: 'Only rows that were dumped with COPY (the default of pg_dump) can be compared.',
      });
    }
    const keyOf = (object: string) => {
      const { schema, name } = named(object);
      return primaryKeyColumns(client, `${identifier(schema)}.${identifier(name)}`);
    };
    const database = await ofDatabase(readCopyLanes);
    const names = [...archive.tables.keys(), ...archive.sequences.keys()].map(named);
    const tests = except.map((text) => nameTest(text, names));
    const differences: (CopyDifference & { located?: DifferingRows })[] = [];
    for (const difference of compareCopyLanes(archive, database)) {
      const { kind, object } = difference;
      if (tests.some((test) => test(named(object)))) continue;
      const located =
        (kind === 'rows' || kind === 'content') && differences.length < LOCATED
          ? await findDifferingRows(ofArchive, ofDatabase, object, await keyOf(object))
          : undefined;
      differences.push(located === undefined ? difference : { ...difference, located });
    }
    return {
      differences,
      tables: archive.tables.size,
      rows: [...archive.tables.values()].reduce((sum, { rows }) => sum + rows, 0),
      sequences: archive.sequences.size,
    };
  });
}

function named(object: string): { schema: string; name: string } {
  const { schema = 'public', name } = parseName(object);
  return { schema, name };
}

/** Gives `use` what reads the archive's rows, as often as it likes. */
async function withArchiveRows<T>(
  source: RestoreSource,
  tools: Tools,
  context: StepContext,
  use: (read: ReadRows) => Promise<T>,
): Promise<T> {
  const tool = toolContext(context);
  const of = (table: string | undefined) => (table === undefined ? tool : { ...tool, table });
  if (source.format === 'plain') return await use(async (consume) => await consume(await source.open()));
  if (source.format === 'custom') {
    return await use(
      async (consume, table) => await readArchiveRows(tools, await source.open(), of(table), consume),
    );
  }
  return await withScratch(context, async (scratch) => {
    const path = await source.materialize(scratch, (done) => context.progress({ done, unit: 'bytes' }));
    return await use((consume, table) => readArchiveRows(tools, path, of(table), consume));
  });
}

/** The comparison as results of checks, for archives that have nothing else to be compared with. */
export async function archiveResults(
  open: () => Promise<RestoreSource>,
  target: DatabaseTarget,
  options: { readonly except: readonly string[]; readonly tolerate: ReadonlySet<string> },
  context: StepContext,
): Promise<CheckResult[]> {
  const started = performance.now();
  const result = (
    name: string,
    status: CheckResult['status'],
    message: string,
    hint?: string,
  ): CheckResult => {
    const tolerated = options.tolerate.has(name);
    return {
      name,
      kind: 'fingerprint',
      severity: tolerated || status === 'skipped' ? 'warn' : 'error',
      status: tolerated && status === 'failed' ? 'warned' : status,
      durationMs: Math.round(performance.now() - started),
      message,
      ...(status === 'errored' ? { error: message } : {}),
      ...(hint === undefined ? {} : { hint }),
    };
  };
  try {
    const source = await open();
    const { differences, tables, rows, sequences } = await compareWithArchive(
      source,
      target,
      options.except,
      context,
    );
    const partial = target.restoredFrom?.whole === false;
    const results = differences.map(({ kind, object, message, located }) =>
      partial && (kind === 'tableMissing' || kind === 'sequenceMissing')
        ? result(`${COMPARE_NAME} ${object}`, 'skipped', `${message}: the restore was partial`)
        : {
            ...result(`${COMPARE_NAME} ${object}`, 'failed', `${message}${where(located)}`, RESTORE_FAULT),
            ...evidence(located),
          },
    );
    if (results.some(({ status }) => status !== 'skipped')) return results;
    const apart = options.except.length === 0 ? '' : `, apart from ${options.except.join(', ')}`;
    return [
      tables === 0
        ? result(COMPARE_NAME, 'vacuous', `${source.label} holds no rows to compare with`)
        : result(
            COMPARE_NAME,
            'passed',
            `${rows} rows of ${tables} tables and ${sequences} sequences as in the archive of ${source.label}, which has no fingerprint of its source${apart}`,
          ),
      ...results,
    ];
  } catch (error) {
    if (context.signal.aborted) throw error;
    const { message, hint } = toBackplanError(error);
    return [result(COMPARE_NAME, 'errored', message, hint)];
  }
}

function evidence(located: DifferingRows | undefined): Pick<CheckResult, 'count' | 'samples'> {
  return located === undefined ? {} : { count: located.count, samples: located.samples };
}

/** Which rows: how many, and between which keys. */
function where(located: DifferingRows | undefined): string {
  if (located === undefined || located.count === 0) return '';
  const { count, more, range } = located;
  const rows = `${more ? 'at least ' : ''}${count} row${count === 1 ? '' : 's'}`;
  return ` (${rows}${range === undefined ? '' : `: ${range}`})`;
}

const RESTORE_FAULT =
  'The archive is not what the copy holds: the restore lost it, or the copy was written to since. Restore again.';
const BACKUP_FAULT =
  'The archive holds exactly what the copy holds: the restore is right, and the backup is not what its source was. Do not rely on this backup; make a new one and compare it.';

/**
 * Says of results that do not fit the fingerprint which half is at fault, as their hint. Where the archive cannot be
 * read, they stay as they are.
 */
export async function blame(
  results: readonly CheckResult[],
  open: () => Promise<RestoreSource>,
  target: DatabaseTarget,
  context: StepContext,
): Promise<CheckResult[]> {
  const ofData = (result: CheckResult) =>
    result.status === 'failed' && result.name.startsWith(`${COMPARE_NAME} "`);
  if (!results.some(ofData)) return [...results];
  try {
    const { differences } = await compareWithArchive(await open(), target, [], context);
    const lost = new Map(differences.map((each) => [`${COMPARE_NAME} ${each.object}`, each]));
    return results.map((result) => {
      if (!ofData(result)) return result;
      const found = lost.get(result.name);
      return found === undefined
        ? { ...result, hint: BACKUP_FAULT }
        : {
            ...result,
            message: `${result.message}${where(found.located)}`,
            hint: RESTORE_FAULT,
            ...evidence(found.located),
          };
    });
  } catch (error) {
    if (context.signal.aborted) throw error;
    context.log.warn(`the archive itself could not be looked at: ${toBackplanError(error).message}`);
    return [...results];
  }
}
