/**
 * Which rows of a table differ between an archive and a database, by primary key, out of their COPY lines. Twice over
 * both: first sums in buckets of keys, then the rows of the buckets that differ, so that memory stays small however
 * large the table is.
 */
import type { Readable } from 'node:stream';
import { identifier } from './client.ts';
import { hashBytes, readCopyLanes } from './copy-lanes.ts';

/** Reads the rows of one side; `table` may narrow what comes to that table. */
export type ReadRows = <T>(consume: (text: Readable) => Promise<T>, table?: string) => Promise<T>;

export interface DifferingRows {
  /** Rows found. */
  readonly count: number;
  /** There are more: so many differ in a large table that not all were looked for. */
  readonly more: boolean;
  /** Between which keys they lie: `"id" 17 to 912`. Absent without a primary key, or without a row. */
  readonly range?: string;
  /** Keys with `row`: missing, more or changed. Without a primary key no values are shown. */
  readonly samples: readonly Readonly<Record<string, string | null>>[];
}

const BUCKETS = 65_536;
/** Buckets whose rows are looked at, at the least, and rows that are kept at once where buckets hold few. */
const SEARCHED = 64;
const KEPT = 50_000;
const SAMPLES = 10;
const TAB = 9;

/** @param key columns of the primary key; empty: whole rows are their own key */
export async function findDifferingRows(
  archive: ReadRows,
  database: ReadRows,
  table: string,
  key: readonly string[],
): Promise<DifferingRows> {
  const before = await bucketSums(archive, table, key);
  const after = await bucketSums(database, table, key);
  const wanted = new Set<number>();
  const perBucket = Math.max(before.rows, after.rows) / BUCKETS;
  const most = Math.max(SEARCHED, Math.floor(KEPT / perBucket));
  let more = false;
  for (let bucket = 0; bucket < BUCKETS && !more; bucket++) {
    const [low, high] = [bucket * 2, bucket * 2 + 1];
    if (before.sums[low] === after.sums[low] && before.sums[high] === after.sums[high]) continue;
    if (wanted.size < most) wanted.add(bucket);
    else more = true;
  }
  const was = await rowsOf(archive, table, key, wanted);
  const is = await rowsOf(database, table, key, wanted);
  const found: { key: string; row: 'missing' | 'more' | 'changed' }[] = [];
  for (const [each, { hash, rows }] of was) {
    const other = is.get(each);
    if (other === undefined || other.rows < rows) found.push({ key: each, row: 'missing' });
    else if (other.rows === rows && other.hash !== hash) found.push({ key: each, row: 'changed' });
  }
  for (const [each, { rows }] of is) {
    if ((was.get(each)?.rows ?? 0) < rows) found.push({ key: each, row: 'more' });
  }
  const ends = key.length === 0 ? undefined : endsOf(found.map((each) => toRow(key, each.key)));
  return {
    count: found.length,
    more,
    ...(ends === undefined ? {} : { range: showRange(key, ends) }),
    samples:
      key.length === 0
        ? []
        : found.slice(0, SAMPLES).map((each) => ({ ...toRow(key, each.key), row: each.row })),
  };
}

type Key = Readonly<Record<string, string | null>>;

/** The first and the last, whole numbers by their value, all else by its characters. */
function endsOf(keys: readonly Key[]): readonly [Key, Key] | undefined {
  const compare = (a: string | null | undefined, b: string | null | undefined) => {
    const [left, right] = [a ?? '', b ?? ''];
    const whole = /^-?\d+$/;
    if (whole.test(left) && whole.test(right)) {
      const by = BigInt(left) - BigInt(right);
      return by < 0n ? -1 : by > 0n ? 1 : 0;
    }
    return left < right ? -1 : left > right ? 1 : 0;
  };
  const order = (a: Key, b: Key) => {
    for (const name of Object.keys(a)) {
      const by = compare(a[name], b[name]);
      if (by !== 0) return by;
    }
    return 0;
  };
  let ends: readonly [Key, Key] | undefined;
  for (const key of keys) {
    if (ends === undefined) ends = [key, key];
    else if (order(key, ends[0]) < 0) ends = [key, ends[1]];
    else if (order(key, ends[1]) > 0) ends = [ends[0], key];
  }
  return ends;
}

function showRange(key: readonly string[], [first, last]: readonly [Key, Key]): string {
  const text = (row: Key) => {
    const values = key
      .map((name) => row[name] ?? '')
      .map((value) => (/^-?\d+$/.test(value) ? value : JSON.stringify(value)));
    return key.length === 1 ? values.join() : `(${values.join(', ')})`;
  };
  const names = key.map(identifier).join(', ');
  const [from, to] = [text(first), text(last)];
  return `${key.length === 1 ? names : `(${names})`} ${from === to ? from : `${from} to ${to}`}`;
}

/** Per bucket two sums modulo 2³², which do not depend on the order of rows. */
async function bucketSums(
  read: ReadRows,
  table: string,
  key: readonly string[],
): Promise<{ readonly sums: Uint32Array; readonly rows: number }> {
  const sums = new Uint32Array(BUCKETS * 2);
  let rows = 0;
  await eachRow(read, table, key, (keyBytes, line) => {
    rows += 1;
    const bucket = hashBytes(keyBytes) % BUCKETS;
    const hash = hashBytes(line);
    const [low, high] = [bucket * 2, bucket * 2 + 1];
    sums[low] = (sums[low] ?? 0) + (hash % 2 ** 32);
    sums[high] = (sums[high] ?? 0) + Math.floor(hash / 2 ** 32);
  });
  return { sums, rows };
}

async function rowsOf(
  read: ReadRows,
  table: string,
  key: readonly string[],
  wanted: ReadonlySet<number>,
): Promise<Map<string, { hash: number; rows: number }>> {
  const rows = new Map<string, { hash: number; rows: number }>();
  await eachRow(read, table, key, (keyBytes, line) => {
    if (!wanted.has(hashBytes(keyBytes) % BUCKETS)) return;
    const text = keyBytes.toString('utf8');
    rows.set(text, { hash: hashBytes(line), rows: (rows.get(text)?.rows ?? 0) + 1 });
  });
  return rows;
}

async function eachRow(
  read: ReadRows,
  table: string,
  key: readonly string[],
  see: (key: Buffer, line: Buffer) => void,
): Promise<void> {
  await read(
    (text) =>
      readCopyLanes(text, {
        table,
        onRow: (line, columns) => {
          see(
            key.length === 0
              ? line
              : keyOf(
                  line,
                  key.map((name) => columns.indexOf(name)),
                ),
            line,
          );
        },
      }),
    table,
  );
}

/** The fields with these positions, tabs between them. */
function keyOf(line: Buffer, positions: readonly number[]): Buffer {
  const fields: Buffer[] = [];
  const highest = Math.max(...positions);
  for (let start = 0, column = 0; column <= highest; column++) {
    const tab = line.indexOf(TAB, start);
    const end = tab === -1 ? line.length : tab;
    fields.push(line.subarray(start, end));
    start = end + 1;
  }
  const [first, ...others] = positions.map((position) => fields[position] ?? Buffer.alloc(0));
  if (first === undefined || others.length === 0) return first ?? line;
  return Buffer.concat([first, ...others.flatMap((field) => [Buffer.from([TAB]), field])]);
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** The values of a key as COPY wrote them. */
function toRow(key: readonly string[], text: string): Record<string, string | null> {
  const fields = text.split('\t');
  return Object.fromEntries(
    key.map((name, index) => {
      const field = fields[index] ?? '';
      return [name, field.replace(/\\(.)/gs, (_, letter: string) => ESCAPES[letter] ?? letter)];
    }),
  );
}
