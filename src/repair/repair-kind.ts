/**
 * The contract of a kind of repair: it looks for one sort of damage and says which statements would mend it. It
 * changes nothing itself; `execute.ts` runs the statements, and asks the kind again whether the damage is gone.
 */
import type { Client } from '../postgres/client.ts';
import type { RepairKindName } from './kinds.ts';
import type { Wanted } from './wanted.ts';

/** One thing to mend. */
export interface RepairAction {
  readonly kind: string;
  /** The same for the same damage at every look. */
  readonly key: string;
  /** What is wrong, on what: one line. */
  readonly what: string;
  /** In order; exactly what will be run. */
  readonly statements: readonly string[];
  /**
   * All statements in one transaction, which begins with `locks` and a second look. False for what PostgreSQL does
   * not allow in one (CONCURRENTLY), or what should not hold its locks for long (VALIDATE): each for itself.
   */
  readonly transaction: boolean;
  /** Tables, quoted and qualified, that nobody may write to meanwhile. */
  readonly locks?: readonly string[];
  /** Statements that take back what was done when a later one fails; only without a transaction. */
  readonly undo?: readonly string[];
  /** Rows that would move to the quarantine. */
  readonly rows?: number;
  /** Offenders, keys only. */
  readonly samples?: readonly Readonly<Record<string, unknown>>[];
  /**
   * The same look at this thing alone; undefined when it is mended. Without it the kind looks at everything again,
   * which is only right where that is one query of the catalog.
   */
  readonly again?: () => Promise<RepairAction | undefined>;
  /** Set where it cannot be mended so, and why. `hint` says what to do. */
  readonly refused?: { readonly why: string; readonly hint: string };
}

export interface RepairPolicy {
  /** Which row of a group with the same key stays; the others move to the quarantine. Unset: none may move. */
  readonly duplicates?: { readonly keep: 'newest' | 'oldest'; readonly by: string };
  /** Rows whose parent is gone may move to the quarantine. */
  readonly orphans?: 'quarantine';
  /** Schema of the quarantine tables. */
  readonly quarantine: string;
}

/** What a kind sees. */
export interface RepairWorld {
  /** search_path is empty, row_security is off. */
  readonly client: Client;
  readonly wanted: Wanted;
  readonly policy: RepairPolicy;
  /** Id of the run: in the names of quarantine tables. */
  readonly run: string;
  readonly sample: number;
}

export interface RepairKind {
  readonly kind: RepairKindName;
  readonly summary: string;
  find(world: RepairWorld): Promise<readonly RepairAction[]>;
}
