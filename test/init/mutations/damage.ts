/** What a database of the mutation tests is made of, and how it is damaged. */

/**
 * `suite`: the suite that init made must find it by itself, without a fingerprint. `print`: the fingerprint with its
 * inventory must. Both are looked at together in any case.
 */
type Finder = 'suite' | 'print';

export interface Damage {
  readonly what: string;
  /** Done in one transaction that is rolled back, as for a replica: no trigger fires, no foreign key is looked at. */
  readonly sql: string;
  readonly by: Finder;
}

export interface Subject {
  readonly name: string;
  /** Makes the database on the shared server and returns its name. */
  create(): string;
  readonly damages: readonly Damage[];
}

/** Damages that the suite alone finds. */
export function bySuite(all: Readonly<Record<string, string>>): Damage[] {
  return Object.entries(all).map(([what, sql]) => ({ what, sql, by: 'suite' }));
}

/** Damages that are for the fingerprint. */
export function byPrint(all: Readonly<Record<string, string>>): Damage[] {
  return Object.entries(all).map(([what, sql]) => ({ what, sql, by: 'print' }));
}
