/** The kinds of repair, in the order of running: rows first, then what needs them to be right. */
import { foreignKeys } from './foreign-keys.ts';
import { indexes } from './indexes.ts';
import { materializedViews } from './materialized-views.ts';
import { orphans } from './orphans.ts';
import type { RepairKind } from './repair-kind.ts';
import { sequences } from './sequences.ts';
import { uniqueKeys } from './unique-keys.ts';
import { unvalidated } from './unvalidated.ts';

export const repairKinds = [
  uniqueKeys,
  orphans,
  foreignKeys,
  unvalidated,
  indexes,
  sequences,
  materializedViews,
] as const satisfies readonly RepairKind[];
