/**
 * Chooses the entries of an archive for a partial restore. `pg_restore --table` leaves out indexes, constraints,
 * sequences and types; this takes what belongs to the chosen tables and what they need:
 *
 * - the tables themselves with their partitions, rows, defaults, owned sequences and where those stand, indexes,
 *   constraints, triggers, rules, policies, statistics, comments and grants;
 * - what any of these cannot exist without: schemas, types, domains, functions, collations, extensions, sequences that
 *   defaults use, and the definition (no rows) of tables that they inherit from;
 * - a foreign key (or anything else that names several tables) only when all of them are chosen.
 *
 * Large objects, publications, event triggers and default privileges are not part of a partial restore.
 */
import { BackplanError } from '../errors.ts';
import { nameTest } from './data-tables.ts';
import { showName } from './object-name.ts';
import type { ArchiveEntry } from './toc.ts';

export interface Choice {
  readonly tables?: readonly string[];
  readonly schemas?: readonly string[];
}

export interface Chosen {
  /** In the order of the archive. */
  readonly entries: readonly ArchiveEntry[];
  /** What was left out although it touches the chosen tables, for people. */
  readonly leftOut: readonly string[];
}

const RELATIONS = new Set(['TABLE', 'VIEW', 'MATERIALIZED VIEW', 'FOREIGN TABLE', 'SEQUENCE']);

/** Kinds of entries that live and die with a relation. */
const ATTACHED = new Set([
  ...['TABLE DATA', 'MATERIALIZED VIEW DATA', 'DEFAULT', 'SEQUENCE', 'SEQUENCE SET', 'SEQUENCE OWNED BY'],
  ...['TABLE ATTACH', 'INDEX', 'INDEX ATTACH', 'CONSTRAINT', 'CHECK CONSTRAINT', 'FK CONSTRAINT', 'TRIGGER'],
  ...['RULE', 'POLICY', 'ROW SECURITY', 'STATISTICS', 'STATISTICS DATA'],
]);

/** Kinds that say something about another entry. */
const REMARKS = new Set(['ACL', 'COMMENT', 'SECURITY LABEL']);

const WITHOUT_ROWS = new Set(['TABLE DATA', 'MATERIALIZED VIEW DATA', 'STATISTICS DATA']);

/** @throws BACKUP_NOT_FOUND naming a table or schema that the archive does not have */
export function selectEntries(entries: readonly ArchiveEntry[], choice: Choice): Chosen {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const dependencies = (entry: ArchiveEntry) =>
    entry.dependencies.map((id) => byId.get(id)).filter((each) => each !== undefined);
  const chosen = withPartitions(chooseRelations(entries, choice), entries, dependencies);
  const included = new Set<ArchiveEntry>(chosen);
  const leftOut: string[] = [];

  for (const schema of choice.schemas ?? []) {
    for (const entry of entries) {
      const own = entry.schema === schema && !ATTACHED.has(entry.type) && !REMARKS.has(entry.type);
      const isSchema = entry.type === 'SCHEMA' && entry.name === schema;
      if ((own && !/^(DEFAULT ACL|PUBLICATION.*)$/.test(entry.type)) || isSchema) included.add(entry);
    }
  }
  // Attached entries may hang on each other (SEQUENCE SET on SEQUENCE, INDEX ATTACH on INDEX): until nothing is added.
  for (let before = -1; before !== included.size; ) {
    before = included.size;
    for (const entry of entries) {
      if (!ATTACHED.has(entry.type) || included.has(entry)) continue;
      const relations = dependencies(entry).filter(({ type }) => RELATIONS.has(type));
      const touches = relations.filter((each) => included.has(each));
      if (touches.length > 0 && touches.length === relations.length) included.add(entry);
      else if (touches.length > 0 && entry.type === 'DEFAULT' && touches.some(({ type }) => type === 'TABLE'))
        included.add(entry);
    }
  }
  for (const entry of entries) {
    if (included.has(entry) || !/^(FK CONSTRAINT|TRIGGER|RULE|POLICY)$/.test(entry.type)) continue;
    if (dependencies(entry).some((each) => chosen.has(each))) leftOut.push(`${entry.type} ${entry.name}`);
  }
  // Catalogs do not record who uses a default operator class, so extensions come whole; an unused one does no harm.
  for (const entry of entries) if (entry.type === 'EXTENSION') included.add(entry);
  addNeeds(included, chosen, entries, dependencies);
  for (const entry of entries) {
    const about = dependencies(entry);
    if (REMARKS.has(entry.type) && about.length > 0 && about.every((each) => included.has(each))) {
      included.add(entry);
    }
  }
  return { entries: entries.filter((entry) => included.has(entry)), leftOut };
}

function chooseRelations(entries: readonly ArchiveEntry[], { tables, schemas }: Choice): Set<ArchiveEntry> {
  const relations = entries
    .filter(({ type }) => RELATIONS.has(type))
    .map((entry) => ({ entry, schema: entry.schema ?? '', name: entry.name }));
  const chosen = new Set<ArchiveEntry>();
  for (const text of tables ?? []) {
    const test = nameTest(text, relations);
    const found = relations.filter(test);
    if (found.length === 0) throw notThere('table', text, relations.map(showName));
    for (const { entry } of found) chosen.add(entry);
  }
  for (const schema of schemas ?? []) {
    if (
      !entries.some((entry) => entry.schema === schema || (entry.type === 'SCHEMA' && entry.name === schema))
    ) {
      throw notThere(
        'schema',
        schema,
        [...new Set(entries.map((entry) => entry.schema ?? ''))].filter(Boolean),
      );
    }
    for (const { entry } of relations.filter((each) => each.schema === schema)) chosen.add(entry);
  }
  return chosen;
}

function notThere(what: string, name: string, existing: readonly string[]): BackplanError {
  const bare = (text: string) => text.replaceAll('"', '').toLowerCase();
  const near = existing.filter((each) => bare(each) === bare(name) || bare(each).endsWith(`.${bare(name)}`));
  const known = near.length > 0 ? near : existing;
  return new BackplanError('BACKUP_NOT_FOUND', `the backup holds no ${what} ${name}`, {
    hint: `${near.length > 0 ? 'Did you mean' : 'It holds'} ${known.slice(0, 20).join(', ')}${known.length > 20 ? ', …' : ''}? Names are exact, upper and lower case included.`,
  });
}

/** TABLE ATTACH entries depend on the parent and on the partition: a chosen parent brings its partitions. */
function withPartitions(
  chosen: Set<ArchiveEntry>,
  entries: readonly ArchiveEntry[],
  dependencies: (entry: ArchiveEntry) => ArchiveEntry[],
): Set<ArchiveEntry> {
  const attachments = entries
    .filter(({ type }) => type === 'TABLE ATTACH')
    .map((entry) => {
      const tables = dependencies(entry).filter(({ type }) => RELATIONS.has(type));
      const partition = tables.find(({ name, schema }) => name === entry.name && schema === entry.schema);
      return { partition, parent: tables.find((each) => each !== partition) };
    });
  const all = new Set(chosen);
  for (let before = -1; before !== all.size; ) {
    before = all.size;
    for (const { parent, partition } of attachments) {
      if (parent !== undefined && partition !== undefined && all.has(parent)) all.add(partition);
    }
  }
  return all;
}

/** Everything that something included depends on, without rows of tables that were not chosen. */
function addNeeds(
  included: Set<ArchiveEntry>,
  chosen: ReadonlySet<ArchiveEntry>,
  entries: readonly ArchiveEntry[],
  dependencies: (entry: ArchiveEntry) => ArchiveEntry[],
): void {
  const partitions = new Set(
    entries.filter(({ type }) => type === 'TABLE ATTACH').map(({ schema, name }) => `${schema}\0${name}`),
  );
  const queue = [...included];
  for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
    for (const need of dependencies(entry)) {
      if (included.has(need) || WITHOUT_ROWS.has(need.type) || need.section !== 'preData') continue;
      // A partition is made as a table of its own; it needs its parent only to be attached.
      const parent =
        entry.type === 'TABLE' && need.type === 'TABLE' && partitions.has(`${entry.schema}\0${entry.name}`);
      if (parent && !chosen.has(need)) continue;
      included.add(need);
      queue.push(need);
    }
  }
  for (const entry of entries) {
    if (entry.type === 'SEQUENCE SET' && dependencies(entry).some((each) => included.has(each)))
      included.add(entry);
  }
}

/**
 * Parallel workers of pg_restore deadlock when they attach indexes of partitions at the same time (they lock parent and
 * child in no fixed order). What attaches, and what needs that, is a second part for one worker; it takes no time.
 */
export function splitForParallel(entries: readonly ArchiveEntry[]): ArchiveEntry[][] {
  const later = new Set(entries.filter(({ type }) => type === 'INDEX ATTACH').map(({ id }) => id));
  if (later.size === 0) return [[...entries]];
  for (let before = -1; before !== later.size; ) {
    before = later.size;
    for (const { id, dependencies } of entries) {
      if (dependencies.some((each) => later.has(each))) later.add(id);
    }
  }
  return [entries.filter(({ id }) => !later.has(id)), entries.filter(({ id }) => later.has(id))];
}
