/** What checks are about: the words that generators and the comparison of a suite share. */
import { identifier } from '../postgres/client.ts';
import type { ObjectName } from '../postgres/object-name.ts';
import { isRecord } from '../schema-walk.ts';
import type { LiveTable } from './live/table.ts';
import type { LiveSchema } from './live-schema.ts';

/** A check that the suite should have. */
export interface Suggestion {
  readonly kind: string;
  /** What it is about; two checks of one subject are one too many. */
  readonly subject: string;
  readonly params: unknown;
  /** Default: error. */
  readonly severity?: 'warn';
  /** Why it is not as one would expect: a comment above it. */
  readonly note?: string;
}

/** What a check of a suite is about. */
export interface Subject {
  readonly subject: string;
  /** False where the live schema has lost it. */
  readonly exists: boolean;
  /** For kinds that are lists: which entry of the list. */
  readonly entry?: number;
  /** A list in its parameters, as it is and as it would be now. */
  readonly list?: {
    readonly key: string;
    readonly from: readonly unknown[];
    readonly to: readonly unknown[];
  };
}

export interface Generator {
  readonly kind: string;
  /** Comment above the checks of this kind in a new plan. */
  readonly heading: string;
  /** Suggestions that differ only in what they list become one: the columns of a table. */
  readonly merges?: boolean;
  suggest(schema: LiveSchema): readonly Omit<Suggestion, 'kind'>[];
  /** Nothing where parameters are not understood: what cannot be compared is left alone. */
  subjects(params: unknown, schema: LiveSchema): readonly Subject[];
}

/** As a plan writes it: `User`, `audit.Log`, `"odd.schema"."Odd ""T"""`. */
export function planName({ schema, name }: ObjectName): string {
  const part = (text: string) => (/^[^".\s]([^".]*[^".\s])?$/.test(text) ? text : identifier(text));
  return schema === undefined || schema === 'public' ? part(name) : `${part(schema)}.${part(name)}`;
}

/** What a subject is known by, whatever the plan calls it. */
export function key(...parts: readonly (string | readonly string[])[]): string {
  return JSON.stringify(parts);
}

export function tableKey(table: ObjectName): string {
  return key('table', table.schema ?? 'public', table.name);
}

export function columnsKey(sort: string, table: ObjectName, columns: readonly string[]): string {
  return key(sort, table.schema ?? 'public', table.name, [...columns].sort());
}

export function has(table: LiveTable | undefined, columns: readonly string[]): boolean {
  return table !== undefined && columns.every((column) => table.columns.has(column));
}

/** A list among parameters, as it is and as it would be now. */
export function listOf(name: string, from: unknown, to: readonly unknown[]): Pick<Subject, 'list'> {
  return Array.isArray(from) ? { list: { key: name, from, to } } : {};
}

export function texts(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : undefined;
}

/** `table` of a check's parameters and where it is. */
export function located(
  params: unknown,
  schema: LiveSchema,
): { name: ObjectName; live?: LiveTable } | undefined {
  if (!isRecord(params) || typeof params.table !== 'string') return undefined;
  const live = schema.find(params.table);
  return live === undefined ? { name: { schema: '', name: params.table } } : { name: live, live };
}
