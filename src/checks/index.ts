/** The check kinds. To add one: write its file, list it here. */

import { acceptedValues } from './accepted-values.ts';
import { aggregate } from './aggregate.ts';
import { amcheck } from './amcheck.ts';
import { canary } from './canary.ts';
import { catalogHealth } from './catalog-health.ts';
import type { CheckKind } from './check-kind.ts';
import { checksums } from './checksums.ts';
import { columns } from './columns.ts';
import { constraint } from './constraint.ts';
import { cycles } from './cycles.ts';
import { databaseSettings } from './database-settings.ts';
import { enumType } from './enum-type.ts';
import { extension } from './extension.ts';
import { foreignKey } from './foreign-key.ts';
import { freshness } from './freshness.ts';
import { functionExists } from './function.ts';
import { grant } from './grant.ts';
import { index } from './index-exists.ts';
import { isolation } from './isolation.ts';
import { jsonPath } from './json-path.ts';
import { materializedView } from './materialized-view.ts';
import { migrations } from './migrations.ts';
import { notNull } from './not-null.ts';
import { orphans } from './orphans.ts';
import { partition } from './partition.ts';
import { pattern } from './pattern.ts';
import { primaryKey } from './primary-key.ts';
import { range } from './range.ts';
import { recoveryPoint } from './recovery-point.ts';
import { role } from './role.ts';
import { rowCount } from './row-count.ts';
import { rowLevelSecurity } from './row-level-security.ts';
import { schema } from './schema.ts';
import { sequence } from './sequence.ts';
import { sequences } from './sequences.ts';
import { sql } from './sql.ts';
import { table } from './table.ts';
import { tables } from './tables.ts';
import { tenantConsistency } from './tenant-consistency.ts';
import { trigger } from './trigger.ts';
import { unique } from './unique.ts';
import { uniqueValues } from './unique-values.ts';
import { view } from './view.ts';

export const checkKinds: readonly CheckKind[] = [
  tables,
  table,
  columns,
  primaryKey,
  unique,
  foreignKey,
  constraint,
  index,
  view,
  materializedView,
  sequence,
  sequences,
  functionExists,
  trigger,
  enumType,
  extension,
  schema,
  partition,
  rowLevelSecurity,
  role,
  grant,
  databaseSettings,
  migrations,
  isolation,
  catalogHealth,
  acceptedValues,
  notNull,
  uniqueValues,
  pattern,
  range,
  jsonPath,
  freshness,
  aggregate,
  orphans,
  cycles,
  tenantConsistency,
  rowCount,
  recoveryPoint,
  canary,
  amcheck,
  checksums,
  sql,
];
