/** Every step kind, in the order in which help lists them. Adding one touches its own file and this list. */
import { backup } from './backup.ts';
import { check } from './check.ts';
import { command } from './command.ts';
import { copy } from './copy.ts';
import { drop } from './drop.ts';
import { notify } from './notify.ts';
import { preflight } from './preflight.ts';
import { promote } from './promote.ts';
import { prove } from './prove.ts';
import { prune } from './prune.ts';
import { rebuildConstraints } from './rebuild-constraints.ts';
import { recoverRows } from './recover-rows.ts';
import { repair } from './repair.ts';
import { restore } from './restore.ts';
import { rollback } from './rollback.ts';
import { sql } from './sql.ts';
import type { StepKind } from './step-kind.ts';
import { verify } from './verify.ts';

export const stepKinds: readonly StepKind[] = [
  preflight,
  backup,
  verify,
  copy,
  restore,
  check,
  prove,
  promote,
  rollback,
  drop,
  prune,
  rebuildConstraints,
  repair,
  recoverRows,
  sql,
  command,
  notify,
];
