/**
 * The contract of a check kind: one assertion about a database.
 *
 * A kind only reads. It is called inside a REPEATABLE READ, READ ONLY transaction with `row_security = off`,
 * `search_path = ''`, a savepoint and a statement timeout of its own; it returns what it found and throws only
 * when it could not look (the suite then records `errored`, which is never a pass).
 */
import type { Infer, JsonSchema } from '../schema.ts';

export type CheckStatus = 'passed' | 'warned' | 'failed' | 'errored' | 'skipped' | 'vacuous';
export type Severity = 'error' | 'warn';

/** What a kind says; the suite turns it into a status by severity. */
export interface Finding {
  /**
   * `vacuous`: there was nothing to look at, so nothing was shown. `warned`: nothing is wrong, but something is unwise;
   * a warning whatever the severity of the check. `skipped`: the check does not apply to this database, which is no
   * word on it and stops nothing.
   */
  readonly outcome: 'passed' | 'warned' | 'failed' | 'vacuous' | 'skipped';
  /** One line: what was found, e.g. `3 orphans: "userId" → "User"."id"`. */
  readonly message: string;
  /** What to do about it, e.g. the DDL that would mend it. */
  readonly hint?: string;
  /** How many rows or objects offend. */
  readonly count?: number;
  /** Of how many; thresholds in percent need it. */
  readonly of?: number;
  /** Up to `sample` offenders: keys only unless the plan asks for rows. */
  readonly samples?: readonly Readonly<Record<string, unknown>>[];
}

export interface CheckResult extends Omit<Finding, 'outcome' | 'of'> {
  readonly name: string;
  readonly kind: string;
  readonly severity: Severity;
  readonly status: CheckStatus;
  readonly durationMs: number;
  readonly error?: string;
  /** It could not look because this server lacks something (an extension, a right): no word on the data. */
  readonly environment?: true;
}

/** The only way a check talks to the database. */
export interface CheckClient {
  query<Row extends Record<string, unknown> = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
  /** `server_version_num`, for example 150018. */
  readonly serverVersion: number;
}

/** What is known of the backup that the database was restored from. */
export interface BackupFacts {
  readonly id: string;
  /** When its snapshot was taken: the present of the data in it. */
  readonly snapshotAt: Date;
  /** Rows of a table by its schema and name, where the fingerprint counted them. */
  rowsOf(schema: string, name: string): number | undefined;
}

export interface CheckOptions {
  /** How many offenders to show. */
  readonly sample: number;
  /** Show whole rows, not only their keys. */
  readonly rows: boolean;
  /** Percentage of the pages of the table that are read. What is found is true, finding nothing is no pass. */
  readonly part?: number;
  /** SQL condition of the plan: only rows that meet it are looked at. Only for kinds that list it under `keys`. */
  readonly where?: string;
  /** False: no index may answer for itself. Index scans are off, and what an index promises must be read from the table. */
  readonly trustIndexes: boolean;
  /** The server is a throw-away one of backplan's own: nothing of it but the data came from a backup. */
  readonly sandbox?: boolean;
  /** Where relative paths of the plan start: its folder. Default: the current one. */
  readonly baseDirectory?: string;
  readonly backup?: BackupFacts;
}

/**
 * What a check wants to know of all rows of a table. Checks over the same table share one scan, so everything in it
 * stands in one SELECT together with what others want.
 */
export interface Scan {
  /** The table, quoted and qualified; its alias is `t`. */
  readonly from: string;
  /** Aggregates over `t` that take no parameters, for example `pg_catalog.count(*) FILTER (WHERE …)`. */
  readonly columns: readonly string[];
  /** Text of the plan stands in it: names without a schema are then looked up as applications do. */
  readonly ownNames?: boolean;
  /** Only this percentage of its pages is read, drawn by chance. */
  readonly part?: number;
  /** It would keep the server from sharing the work among processes, so it does not share a scan. */
  readonly alone?: boolean;
  /** @param row the values of `columns` as text. Offending keys are fetched here, and only when there are any. */
  conclude(client: CheckClient, row: readonly (string | null)[]): Finding | Promise<Finding>;
}

/** Shared keys that only make sense for kinds that look at rows. */
export const ROW_KEYS = ['where', 'rows', 'part', 'warnAbove', 'failAbove'] as const;
export type RowKey = (typeof ROW_KEYS)[number];

export interface CheckKind {
  readonly kind: string;
  readonly summary: string;
  /** The parameters, without what all checks share (name, severity, timeout, …). May be an object, an array or a string. */
  readonly params: JsonSchema;
  /** Shared keys about rows that it heeds; others are refused. */
  readonly keys?: readonly RowKey[];
  /** The name shown when the plan gives none; stable for equal parameters. */
  title(params: unknown): string;
  /** One entry may stand for several checks (`tables: [A, B]` is two). Default: itself. */
  expand?(params: unknown): readonly unknown[];
  run(client: CheckClient, params: unknown, options: CheckOptions): Promise<Finding>;
  /**
   * Looks up the targets of several checks of this kind in one query, for kinds that only read the catalog. One
   * finding for each of `all`, in its order. Where it throws, the suite asks `run` for each of them instead.
   */
  runAll?(
    client: CheckClient,
    all: readonly unknown[],
    options: readonly CheckOptions[],
  ): Promise<readonly Finding[]>;
  /** What to read of a table, for kinds that need no more than one pass over it; or what the catalog alone says. */
  scan?(client: CheckClient, params: unknown, options: CheckOptions): Promise<Scan | Finding>;
}

export function isFinding(value: Scan | Finding): value is Finding {
  return 'outcome' in value;
}

interface Definition<S extends JsonSchema> {
  readonly kind: string;
  readonly summary: string;
  readonly params: S;
  readonly keys?: readonly RowKey[];
  title(params: Infer<S>): string;
  expand?(params: Infer<S>): readonly Infer<S>[];
}

/** Typed definition → plain CheckKind. */
export function defineCheck<const S extends JsonSchema>(
  definition: Definition<S> & {
    run(client: CheckClient, params: Infer<S>, options: CheckOptions): Promise<Finding>;
    runAll?(
      client: CheckClient,
      all: readonly Infer<S>[],
      options: readonly CheckOptions[],
    ): Promise<readonly Finding[]>;
  },
): CheckKind {
  return definition as unknown as CheckKind;
}

/** The same for a kind that reads a table once, together with others. */
export function defineScan<const S extends JsonSchema>(
  definition: Definition<S> & {
    scan(client: CheckClient, params: Infer<S>, options: CheckOptions): Promise<Scan | Finding>;
  },
): CheckKind {
  const scanPart = async (client: CheckClient, params: Infer<S>, options: CheckOptions) => {
    const scan = await definition.scan(client, params, options);
    return isFinding(scan) || options.part === undefined ? scan : { ...scan, part: options.part };
  };
  const kind = {
    ...definition,
    scan: scanPart,
    async run(client: CheckClient, params: Infer<S>, options: CheckOptions): Promise<Finding> {
      const scan = await scanPart(client, params, options);
      if (isFinding(scan)) return scan;
      const [row] = await readScans(client, [scan]);
      return await scan.conclude(client, row ?? []);
    },
  };
  return kind as unknown as CheckKind;
}

/** The database's own search_path until the end of the check: plans write names as applications do. */
export async function useOwnNames(client: CheckClient): Promise<void> {
  await client.query(
    `SELECT pg_catalog.set_config('search_path', reset_val, true) FROM pg_catalog.pg_settings WHERE name = 'search_path'`,
  );
}

/** Reads what several scans of one table want in one statement; one row for each of them, in their order. */
export async function readScans(client: CheckClient, scans: readonly Scan[]): Promise<(string | null)[][]> {
  const wanted = new Map<string, string>();
  for (const column of scans.flatMap(({ columns }) => columns)) {
    if (!wanted.has(column)) wanted.set(column, `c${wanted.size}`);
  }
  const list = [...wanted].map(([column, alias]) => `(${column})::pg_catalog.text AS ${alias}`);
  if (scans.some(({ ownNames }) => ownNames === true)) await useOwnNames(client);
  const [first] = scans;
  // Drawn anew each time: night by night the whole table is seen.
  const part = first?.part === undefined ? '' : ` TABLESAMPLE SYSTEM (${first.part})`;
  const [row] = await client.query<Record<string, string | null>>(
    `SELECT ${list.join(',\n  ')}\nFROM ${first?.from} AS t${part}`,
  );
  return scans.map(({ columns }) => columns.map((column) => row?.[wanted.get(column) ?? ''] ?? null));
}
