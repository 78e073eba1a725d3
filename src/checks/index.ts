/** The check kinds. To add one: write its file, list it here. */
import { acceptedValues } from './accepted-values.ts';
import type { CheckKind } from './check-kind.ts';
import { foreignKey } from './foreign-key.ts';
import { index } from './index-exists.ts';
import { orphans } from './orphans.ts';
import { rowCount } from './row-count.ts';
import { sql } from './sql.ts';
import { table } from './table.ts';
import { tables } from './tables.ts';
import { unique } from './unique.ts';

export const checkKinds: readonly CheckKind[] = [
  tables,
  table,
  unique,
  foreignKey,
  index,
  acceptedValues,
  orphans,
  rowCount,
  sql,
];
