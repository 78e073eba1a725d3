/** Can every database be reached, and may the role do what backup, restore and promotion need? */
import { toBackplanError } from '../errors.ts';
import { OLDEST_SERVER, rights, swapBlockers } from '../postgres/catalog.ts';
import { type Client, identifier, withClient } from '../postgres/client.ts';
import { describeConnection, parseConnection, withDatabase } from '../postgres/connection.ts';
import { markedDatabases } from '../postgres/marker.ts';
import { connectMaintenance } from '../postgres/swap.ts';
import { versionText } from '../postgres/tools.ts';
import { formatBytes, formatInstant } from '../units.ts';
import { type Finding, type Probe, type ProbeContext, reporter } from './probe.ts';

const AREA = 'database';

export const databases: Probe = {
  area: AREA,
  async *run(context) {
    for (const definition of Object.values(context.plan.databases)) {
      const say = reporter(AREA, definition.name);
      try {
        const connection = parseConnection(definition.url);
        const started = performance.now();
        const findings = await withClient(
          connection,
          {
            applicationName: 'backplan doctor',
            signal: context.signal,
            settings: { statement_timeout: '15s' },
          },
          async (client) => {
            const roundTrip = performance.now() - started;
            return [
              ...(await reach(client, definition.name, roundTrip, context)),
              ...(await readable(client, definition.name)),
              ...(await promotable(client, definition.name)),
            ];
          },
        );
        yield* findings;
        yield* await beside(context, definition.name, connection.database, definition.maintenanceDatabase);
      } catch (error) {
        const { message, hint } = toBackplanError(error);
        yield say.problem(message, hint);
      }
    }
  },
};

async function reach(
  client: Client,
  name: string,
  milliseconds: number,
  context: ProbeContext,
): Promise<Finding[]> {
  const say = reporter(AREA, name);
  const row = await client.first<{
    size: string;
    recovery: boolean;
    readonly: boolean;
    skew: number;
    extensions: string[];
  }>(
    `SELECT pg_catalog.pg_database_size(pg_catalog.current_database())::text AS size,
            pg_catalog.pg_is_in_recovery() AS recovery,
            pg_catalog.current_setting('default_transaction_read_only')::bool AS readonly,
            (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000 - $1::float8)::float8 AS skew,
            ARRAY(SELECT extname::text FROM pg_catalog.pg_extension ORDER BY 1) AS extensions`,
    [Date.now()],
  );
  const size = Number(row?.size ?? 0);
  context.facts.set(name, {
    name,
    connection: client.connection,
    serverVersion: client.serverVersion,
    size,
    extensions: row?.extensions ?? [],
  });
  const findings = [
    say.ok(
      `${describeConnection(client.connection)}: PostgreSQL ${versionText(client.serverVersion)}, ${formatBytes(size)}, connected in ${Math.round(milliseconds)} ms`,
    ),
  ];
  if (client.serverVersion < OLDEST_SERVER) {
    findings.push(
      say.problem(
        `PostgreSQL ${versionText(client.serverVersion)} is older than what backplan supports`,
        'Upgrade the server to a version that still gets fixes: https://www.postgresql.org/support/versioning/',
      ),
    );
  }
  if (row?.recovery === true) {
    findings.push(
      say.warning(
        'the server is a standby: backups work, promotion and schema changes do not',
        'Point the url at the primary where a job promotes.',
      ),
    );
  } else if (row?.readonly === true) {
    findings.push(
      say.warning(
        'default_transaction_read_only is on: backups work, promotion does not',
        'A full disk makes managed servers do that; otherwise ALTER DATABASE … RESET default_transaction_read_only.',
      ),
    );
  }
  findings.push(...clock(name, row?.skew ?? 0));
  return findings;
}

/** Ages, schedules and retention go by this machine's clock; the server's is the only other one at hand. */
function clock(name: string, skewMs: number): Finding[] {
  const say = reporter('clock', name);
  const seconds = Math.abs(skewMs) / 1000;
  if (seconds < 5) return [];
  const message = `this machine's clock is ${Math.round(seconds)} s ${skewMs > 0 ? 'behind' : 'ahead of'} the server's`;
  const fix =
    'Let NTP set both clocks (timedatectl set-ntp true, or chrony): schedules and retention go by them.';
  return [seconds < 60 ? say.warning(message, fix) : say.problem(message, fix)];
}

/** pg_dump fails on the first table that it may not read; better to know all of them before. */
async function readable(client: Client, name: string): Promise<Finding[]> {
  const say = reporter(AREA, name);
  const rows = await client.query<{ kind: string; name: string }>(
    `SELECT 'read' AS kind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'm', 'S') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                 AND CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                     ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END)
      UNION ALL
     SELECT 'rows', pg_catalog.format('%I.%I', n.nspname, c.relname)
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity
        AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)
        AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE'))
      ORDER BY 1, 2`,
  );
  const user = client.connection.user;
  const unreadable = rows.filter(({ kind }) => kind === 'read').map((row) => row.name);
  const filtered = rows.filter(({ kind }) => kind === 'rows').map((row) => row.name);
  return [
    ...(unreadable.length === 0
      ? []
      : [
          say.problem(
            `${user} may not read ${some(unreadable)}: a backup would fail`,
            client.serverVersion >= 140_000
              ? `GRANT pg_read_all_data TO ${identifier(user)};`
              : `GRANT USAGE ON SCHEMA … TO ${identifier(user)}; GRANT SELECT ON ALL TABLES IN SCHEMA … TO ${identifier(user)};`,
          ),
        ]),
    ...(filtered.length === 0
      ? []
      : [
          say.problem(
            `row-level security hides rows of ${some(filtered)} from ${user}: a backup would fail`,
            `ALTER ROLE ${identifier(user)} BYPASSRLS; or back up as the owner of the tables.`,
          ),
        ]),
  ];
}

async function promotable(client: Client, name: string): Promise<Finding[]> {
  const say = reporter(AREA, name);
  const { user, superuser, createDatabase, ownsDatabase, signalBackends } = await rights(client);
  const { preparedTransactions, logicalSlots, subscriptions, publications } = await swapBlockers(client);
  const database = identifier(client.connection.database);
  const missing = [
    ...(createDatabase ? [] : [`ALTER ROLE ${identifier(user)} CREATEDB;`]),
    ...(superuser || ownsDatabase ? [] : [`ALTER DATABASE ${database} OWNER TO ${identifier(user)};`]),
    ...(signalBackends ? [] : [`GRANT pg_signal_backend TO ${identifier(user)};`]),
  ];
  const bound = [
    ...(preparedTransactions === 0 ? [] : [`${preparedTransactions} prepared transactions`]),
    ...[...logicalSlots, ...subscriptions, ...publications].slice(0, 5),
  ];
  return [
    ...(missing.length === 0
      ? [say.ok(`${user} may restore beside production and promote`)]
      : [
          say.warning(
            `${user} may not restore beside production or promote (backups and sandboxes work)`,
            missing.join(' '),
          ),
        ]),
    ...(bound.length === 0
      ? []
      : [
          say.warning(
            `logical replication or prepared transactions are bound to this database and would stand in the way of a promotion: ${bound.join(', ')}`,
            'End or drop them before a promotion, and set replication up again after it.',
          ),
        ]),
  ];
}

/** Staging and previous databases take disk; who looks after a restore should know of them. */
async function beside(
  context: ProbeContext,
  name: string,
  production: string,
  maintenanceDatabase: string | undefined,
): Promise<Finding[]> {
  const facts = context.facts.get(name);
  if (facts === undefined) return [];
  const say = reporter(AREA, name);
  await using client = await connectMaintenance(
    withDatabase(facts.connection, production),
    maintenanceDatabase,
    { applicationName: 'backplan doctor', signal: context.signal },
  );
  const findings: Finding[] = [];
  for (const { name: database, marker } of await markedDatabases(client)) {
    if ('stagingFor' in marker && marker.stagingFor === production) {
      findings.push(
        say.warning(
          `there is a staging database "${database}" of run ${marker.run}`,
          `Promote it (backplan promote) or drop it: DROP DATABASE "${database}";`,
        ),
      );
    }
    if ('previousOf' in marker && marker.previousOf === production) {
      const over = Date.parse(marker.keepUntil) < context.now.getTime();
      const until = formatInstant(new Date(marker.keepUntil));
      findings.push(
        over
          ? say.warning(
              `the previous database "${database}" was to be kept until ${until} and is still there`,
              'A `drop` step with `previous` removes those whose time is over.',
            )
          : say.ok(`"${database}" is kept until ${until}; \`backplan rollback\` swaps it back`),
      );
    }
  }
  return findings;
}

/** A few names and how many more. */
function some(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length <= 3 ? shown : `${shown} and ${names.length - 3} more`;
}
