/** A plan, a database, a repository and a state folder of its own for tests of whole commands. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CliOptions, type CliResult, cli, startCli } from '../helpers/cli.ts';
import { createDatabase, sharedUrl, sql, temporaryFolder } from '../helpers/database.ts';

export interface World {
  readonly folder: string;
  readonly plan: string;
  /** Name of the database on the server. */
  readonly database: string;
  readonly env: Record<string, string>;
  /** Runs `backplan ARGS` with this world's environment; `PLAN` among them is the plan file. */
  run(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  start(args: readonly string[], options?: CliOptions): ReturnType<typeof startCli>;
  /** Runs it with `--output json` and parses the document. */
  json<T = unknown>(args: readonly string[], options?: CliOptions): Promise<T>;
  /** psql on the database. */
  sql(text: string): string;
}

const SCHEMA = `
  CREATE TABLE "Tenant" (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE "User" (id int PRIMARY KEY, "tenantId" int NOT NULL REFERENCES "Tenant" (id), email text NOT NULL UNIQUE);
  INSERT INTO "Tenant" SELECT n, 'tenant ' || n FROM generate_series(1, 20) n;
  INSERT INTO "User" SELECT n, 1 + n % 20, 'user' || n || '@example.com' FROM generate_series(1, 500) n;
`;

/** The plan of every world, unless another is given. */
export const PLAN = `version: 1
name: cli-test
timezone: Europe/Berlin
databases:
  crm: { url: "\${CRM_URL}" }
repositories:
  local: { path: "\${BACKUPS}" }
suites:
  consistency:
    - tables: [Tenant, User]
    - foreignKey: { table: User, columns: [tenantId], references: { table: Tenant, columns: [id] } }
    - rowCount: { table: Tenant, min: 1 }
jobs:
  nightly:
    description: back up and prove it
    schedule: { cron: "30 2 * * *" }
    steps:
      dump: { uses: backup, with: { database: crm, repository: local, fingerprint: content } }
      rehearse: { uses: restore, needs: [dump], with: { backup: "\${{ steps.dump.outputs.backup }}", into: sandbox } }
      check: { uses: check, needs: [rehearse], with: { suite: consistency, database: "\${{ steps.rehearse.outputs.database }}", compareFingerprint: true } }
      prune: { uses: prune, needs: [check], with: { repository: local, database: crm, keep: { last: 5, proven: 2 } } }
  restore:
    inputs:
      backup: { type: backup, default: latest-proven }
    steps:
      stage: { uses: restore, with: { backup: "\${{ inputs.backup }}", into: { staging: crm } } }
      check: { uses: check, needs: [stage], with: { suite: consistency, database: "\${{ steps.stage.outputs.database }}" } }
      promote: { uses: promote, needs: [check], with: { staging: "\${{ steps.stage.outputs.database }}", database: crm, keepPrevious: 24h } }
      cleanup: { uses: drop, needs: [promote], if: "\${{ always() }}", with: { staging: "\${{ steps.stage.outputs.database }}" } }
  wait:
    steps:
      sleep: { uses: command, with: { run: [sleep, "60"] } }
`;

/** To be called in a test file's body or in `beforeAll`: what it makes is removed when the file ends. */
export function makeWorld(options: { plan?: string } = {}): World {
  const folder = temporaryFolder();
  const database = createDatabase('cli', SCHEMA);
  const plan = join(folder, 'plan.yaml');
  writeFileSync(plan, options.plan ?? PLAN);
  const repository = join(folder, 'backups');
  mkdirSync(repository);
  const env = {
    CRM_URL: sharedUrl(database),
    BACKUPS: repository,
    BACKPLAN_STATE: join(folder, 'state'),
  };
  const words = (args: readonly string[]) => args.map((word) => (word === 'PLAN' ? plan : word));
  const start: World['start'] = (args, more = {}) =>
    startCli(words(args), { timeoutMs: 200_000, ...more, env: { ...env, ...more.env } });
  const run: World['run'] = (args, more = {}) =>
    cli(words(args), { timeoutMs: 200_000, ...more, env: { ...env, ...more.env } });
  return {
    folder,
    plan,
    database,
    env,
    run,
    start,
    json: async <T>(args: readonly string[], more: CliOptions = {}) => {
      const result = await run([...args, '--output', 'json'], more);
      return JSON.parse(result.stdout) as T;
    },
    sql: (text) => sql(database, text),
  };
}
