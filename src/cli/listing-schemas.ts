/**
 * JSON Schemas of what `--output json` prints: the literal describes, documents and types it, and is written to
 * schemas/NAME.schema.json. Stable: keys may be added, never renamed or removed.
 */
import type { JsonSchema } from '../schema.ts';
import { backupsSchema } from './listings/backups.ts';
import { doctorSchema } from './listings/doctor.ts';
import { errorSchema } from './listings/error.ts';
import { explanationSchema } from './listings/explanation.ts';
import { initSchema } from './listings/init.ts';
import { notifySchema } from './listings/notify.ts';
import { runsSchema } from './listings/runs.ts';
import { statusSchema } from './listings/status.ts';
import { suiteSchema } from './listings/suite.ts';
import { validationSchema } from './listings/validation.ts';

/** Name of the file in schemas/ → schema. */
export const schemas = {
  error: errorSchema,
  validation: validationSchema,
  explanation: explanationSchema,
  status: statusSchema,
  backups: backupsSchema,
  runs: runsSchema,
  notify: notifySchema,
  doctor: doctorSchema,
  init: initSchema,
  suite: suiteSchema,
} as const satisfies Record<string, JsonSchema>;
