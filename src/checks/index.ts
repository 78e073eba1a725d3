/** The check kinds. To add one: write its file, list it here. */
import { acceptedValues } from './accepted-values.ts';
import { catalogHealth } from './catalog-health.ts';
import type { CheckKind } from './check-kind.ts';
import { columns } from './columns.ts';
import { enumType } from './enum-type.ts';
import { foreignKey } from './foreign-key.ts';
import { index } from './index-exists.ts';
import { orphans } from './orphans.ts';
import { primaryKey } from './primary-key.ts';
import { rowCount } from './row-count.ts';
import { sequence } from './sequence.ts';
import { sql } from './sql.ts';
import { table } from './table.ts';
import { tables } from './tables.ts';
import { unique } from './unique.ts';

export const checkKinds: readonly CheckKind[] = [
  tables,
  table,
  columns,
  primaryKey,
  unique,
  foreignKey,
  index,
  enumType,
  sequence,
  catalogHealth,
  acceptedValues,
  orphans,
  rowCount,
  sql,
];
