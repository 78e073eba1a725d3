/** The check kinds. To add one: write its file, list it here. */

import { acceptedValues } from './accepted-values.ts';
import { aggregate } from './aggregate.ts';
import { catalogHealth } from './catalog-health.ts';
import type { CheckKind } from './check-kind.ts';
import { columns } from './columns.ts';
import { enumType } from './enum-type.ts';
import { foreignKey } from './foreign-key.ts';
import { index } from './index-exists.ts';
import { notNull } from './not-null.ts';
import { orphans } from './orphans.ts';
import { pattern } from './pattern.ts';
import { primaryKey } from './primary-key.ts';
import { range } from './range.ts';
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
  notNull,
  pattern,
  range,
  aggregate,
  orphans,
  rowCount,
  sql,
];
