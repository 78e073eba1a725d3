/** Holding the schema of a database against the inventory of a backup. */
import type { Inventory, InventoryAttributes } from '../repository/inventory.ts';
import { sameExpression } from './definition-text.ts';
import { isExpression } from './schema-inventory.ts';

export interface ObjectDifference {
  readonly kind: 'objectMissing' | 'objectExtra' | 'object';
  /** What it is and its name: `index "User_email_idx" of "User"`. */
  readonly object: string;
  /** The table that it is or belongs to, quoted; absent for what belongs to no table. */
  readonly table?: string;
  readonly message: string;
  readonly expected?: string;
  readonly actual?: string;
}

export interface ObjectCompareOptions {
  /** Objects that the backup does not know are a difference. */
  readonly extras: boolean;
  /** Restored without owners: who owns things is no difference. */
  readonly ignoreOwners?: boolean;
  /** Restored without grants. */
  readonly ignoreGrants?: boolean;
  /** Not promoted yet: whose database it is and who may use it comes with that. */
  readonly ignoreDatabase?: boolean;
  /** Part of the backup was restored: its materialized views may not have been filled. */
  readonly partial?: boolean;
  /** Of a table, quoted: it and what is on it may differ. */
  readonly excepted: (table: string) => boolean;
}

const TABLE_LIKE: ReadonlySet<string> = new Set([
  'table',
  'foreign table',
  'view',
  'materialized view',
  'sequence',
]);

/**
 * What differs, parts of missing tables left out. Expressions are compared by meaning as far as PostgreSQL rewrites
 * them on the way through a dump, and not at all between major versions, which write them differently. What pg_dump
 * cannot keep is no difference: invalid indexes, disabled foreign key triggers, the version of an extension.
 */
export function compareInventory(
  expected: Inventory,
  actual: Inventory,
  options: ObjectCompareOptions,
): ObjectDifference[] {
  const sameMajor =
    Math.floor(expected.serverVersionNum / 10_000) === Math.floor(actual.serverVersionNum / 10_000);
  const differences: ObjectDifference[] = [];
  const kinds = [...new Set([...Object.keys(expected.objects), ...Object.keys(actual.objects)])];
  const absent = (missing: Inventory, of: Inventory) => (on: string) =>
    on !== '' && hasRelation(of, on) && !hasRelation(missing, on);
  const gone = absent(actual, expected);
  const added = absent(expected, actual);
  for (const kind of kinds) {
    if (kind === 'default privileges' && options.ignoreGrants === true) continue;
    if (kind === 'database' && options.ignoreDatabase === true) continue;
    for (const [on, name, was] of objectsOf(expected, kind)) {
      if (gone(on)) continue;
      const table = on !== '' ? on : TABLE_LIKE.has(kind) ? name : undefined;
      if (table !== undefined && options.excepted(table)) continue;
      const object = label(kind, on, name);
      const place = table === undefined ? {} : { table };
      const is = lookUp(actual, kind, on, name);
      if (is !== undefined) {
        differences.push(
          ...compareAttributes(kind, was, is, { ...options, sameMajor }).map((each) => ({
            kind: 'object' as const,
            object,
            ...place,
            ...each,
            message: `${object}: ${each.message}`,
          })),
        );
      } else if (!(kind === 'index' && was.invalid === true)) {
        differences.push({ kind: 'objectMissing', object, ...place, message: `${object} is missing` });
      }
    }
    if (!options.extras) continue;
    for (const [on, name] of objectsOf(actual, kind)) {
      if (added(on) || lookUp(expected, kind, on, name) !== undefined) continue;
      const table = on !== '' ? on : TABLE_LIKE.has(kind) ? name : undefined;
      if (table !== undefined && options.excepted(table)) continue;
      const object = label(kind, on, name);
      differences.push({
        kind: 'objectExtra',
        object,
        ...(table === undefined ? {} : { table }),
        message: `${object} is not in the backup`,
      });
    }
  }
  return differences;
}

function label(kind: string, on: string, name: string): string {
  return on === ''
    ? `${kind} ${name}`
    : kind === 'column'
      ? `column ${on}.${name}`
      : `${kind} ${name} of ${on}`;
}

function* objectsOf(inventory: Inventory, kind: string): Generator<[string, string, InventoryAttributes]> {
  const byTable = Object.hasOwn(inventory.objects, kind) ? inventory.objects[kind] : undefined;
  for (const [on, byName] of Object.entries(byTable ?? {})) {
    for (const [name, attributes] of Object.entries(byName)) yield [on, name, attributes];
  }
}

function lookUp(
  inventory: Inventory,
  kind: string,
  on: string,
  name: string,
): InventoryAttributes | undefined {
  const byTable = Object.hasOwn(inventory.objects, kind) ? inventory.objects[kind] : undefined;
  const byName = byTable !== undefined && Object.hasOwn(byTable, on) ? byTable[on] : undefined;
  return byName !== undefined && Object.hasOwn(byName, name) ? byName[name] : undefined;
}

function hasRelation(inventory: Inventory, name: string): boolean {
  return [...TABLE_LIKE].some((kind) => lookUp(inventory, kind, '', name) !== undefined);
}

type Value = InventoryAttributes[string] | undefined;

function compareAttributes(
  kind: string,
  was: InventoryAttributes,
  is: InventoryAttributes,
  options: ObjectCompareOptions & { readonly sameMajor: boolean },
): { message: string; expected: string; actual: string }[] {
  const names = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  return names.flatMap((name) => {
    const [before, after] = [attribute(was, name), attribute(is, name)];
    if (same(name, before, after)) return [];
    if (name === 'owner' && options.ignoreOwners === true) return [];
    if (name === 'grants') {
      if (options.ignoreGrants === true) return [];
      // Grants name the owner too.
      const owners = options.ignoreOwners === true ? [was.owner, is.owner] : [];
      const plain = (value: Value) => comparableGrants(value, owners, options.sameMajor);
      if (plain(before) === plain(after)) return [];
    }
    if (!options.sameMajor && (isExpression(name) || unlikeBetweenMajors(kind, name))) return [];
    // Worse in the source than here, and pg_dump cannot tell: the copy is as good as it gets.
    if (name === 'invalid' && before === true) return [];
    if (name === 'referenceTriggersDisabled' && Number(after ?? 0) <= Number(before ?? 0)) return [];
    if (name === 'version' || (name === 'unpopulated' && options.partial === true)) return [];
    return [{ message: describe(name, before, after), expected: show(before), actual: show(after) }];
  });
}

/** The schema public got another owner and other grants in PostgreSQL 15; new columns have new defaults; ICU's locales are rewritten since 16. */
function unlikeBetweenMajors(kind: string, name: string): boolean {
  return (
    (kind === 'schema' && (name === 'owner' || name === 'grants')) ||
    name === 'statistics' ||
    name === 'locale'
  );
}

function attribute(attributes: InventoryAttributes, name: string): Value {
  return Object.hasOwn(attributes, name) ? attributes[name] : undefined;
}

function same(name: string, a: Value, b: Value): boolean {
  if (typeof a === 'string' && typeof b === 'string') {
    return a === b || (isExpression(name) && sameExpression(a, b));
  }
  // Columns that are too many or too few are told by themselves.
  const shared = (list: Value, other: Value) =>
    name === 'order' && Array.isArray(list) && Array.isArray(other)
      ? list.filter((each) => other.includes(each))
      : list;
  return JSON.stringify(shared(a, b)) === JSON.stringify(shared(b, a));
}

function comparableGrants(value: Value, owners: readonly Value[], sameMajor: boolean): string {
  if (typeof value !== 'string') return '';
  const lines = value.split('; ').filter((line) => !owners.some((owner) => line.startsWith(`${owner}: `)));
  // MAINTAIN came with PostgreSQL 17.
  return lines.map((line) => (sameMajor ? line : line.replace(/, MAINTAIN\*?/, ''))).join('; ');
}

const WORDS: Readonly<Record<string, string>> = {
  notNull: 'NOT NULL',
  notValid: 'NOT VALID',
  expression: 'definition',
  rowSecurity: 'row-level security',
  forcedRowSecurity: 'forced row-level security',
  order: 'order of columns',
  referenceTriggersDisabled: 'disabled triggers of foreign keys',
};

function describe(name: string, before: Value, after: Value): string {
  const word = WORDS[name] ?? name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  if (after === true) return `is ${word}, in the backup it is not`;
  if (before === true) return `is not ${word}, in the backup it is`;
  if (isLong(before) || isLong(after)) return `its ${word} differs`;
  return `${word} is ${show(after)}, in the backup ${show(before)}`;
}

/** Too long for one line, or known by its hash alone. */
function isLong(value: Value): boolean {
  return typeof value === 'string' && (value.startsWith('sha256:') || show(value).length > 160);
}

function show(value: Value): string {
  if (value === undefined) return 'the default';
  return Array.isArray(value) ? `(${value.join(', ')})` : String(value).replace(/\s+/g, ' ').trim();
}
