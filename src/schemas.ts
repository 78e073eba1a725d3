/**
 * Writes the JSON Schemas in `schemas/`, which editors, linters and scripts use. With `--check` it writes nothing
 * and fails when a file is not what the code says.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkKinds } from './checks/index.ts';
import { checkReportSchema } from './checks/report-schema.ts';
import { schemas as listingSchemas } from './cli/listing-schemas.ts';
import { daemonSettingsSchema } from './daemon/settings.ts';
import { notifierKinds } from './notify/index.ts';
import { messageSchema } from './notify/message-schema.ts';
import { planSchema } from './plan/editor-schema.ts';
import { proveReportSchema } from './prove/report-schema.ts';
import { runReportSchema } from './report/files/run-report.ts';
import { inventorySchema } from './repository/inventory.ts';
import { manifestSchema, proofSchema } from './repository/manifest.ts';
import { runSchema } from './runs/record-schema.ts';
import type { JsonSchema } from './schema.ts';
import { stepKinds } from './steps/index.ts';

const FOLDER = join(import.meta.dirname, '..', 'schemas');

/** Name of the file without `.schema.json` → schema. */
const documents: Readonly<Record<string, JsonSchema>> = {
  plan: planSchema({
    steps: new Map(stepKinds.map((kind) => [kind.kind, kind])),
    checks: new Map(checkKinds.map((kind) => [kind.kind, kind])),
    notifiers: new Map(notifierKinds.map((kind) => [kind.kind, kind])),
  }),
  daemon: daemonSettingsSchema,
  manifest: manifestSchema,
  proof: proofSchema,
  inventory: inventorySchema,
  run: runSchema,
  notification: messageSchema,
  'check-report': checkReportSchema,
  'prove-report': proveReportSchema,
  'run-report': runReportSchema,
  ...listingSchemas,
};

const check = process.argv.includes('--check');
const stale: string[] = [];
mkdirSync(FOLDER, { recursive: true });
for (const [name, document] of Object.entries(documents)) {
  const file = join(FOLDER, `${name}.schema.json`);
  const content = `${JSON.stringify(document, undefined, 2)}\n`;
  if (read(file) === content) continue;
  if (check) stale.push(`${name}.schema.json is not what the code says`);
  else writeFileSync(file, content);
}
for (const file of readdirSync(FOLDER)) {
  const name = /^(.*)\.schema\.json$/.exec(file)?.[1];
  if (name === undefined || !Object.hasOwn(documents, name)) stale.push(`${file} is not made by the code`);
}
for (const line of stale) process.stderr.write(`schemas/${line}\n`);
if (stale.length > 0) {
  process.stderr.write('Run: npm run schemas\n');
  process.exitCode = 1;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
