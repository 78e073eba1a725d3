/** Everything a manifest says of the source, gathered inside the snapshot of the dump. */
import { BackplanError } from '../errors.ts';
import type { Manifest } from '../repository/manifest.ts';
import { databaseFacts, extensions, OLDEST_SERVER, serverFacts, walPosition } from './catalog.ts';
import { type Client, identifier } from './client.ts';
import { maskedUrl } from './connection.ts';
import { schemaVersion } from './schema-version.ts';
import { versionText } from './tools.ts';

export async function sourceFacts(
  client: Client,
  options: {
    readonly snapshot: string;
    readonly schemaVersion: string | { readonly sql: string } | undefined;
    readonly onProblem: (message: string) => void;
  },
): Promise<Manifest['source']> {
  const server = await serverFacts(client);
  const database = await databaseFacts(client);
  return {
    url: maskedUrl(client.connection),
    name: database.name,
    ...server,
    size: database.size,
    encoding: database.encoding,
    collate: database.collate,
    ctype: database.ctype,
    localeProvider: database.localeProvider,
    locale: database.locale,
    collationVersion: database.collationVersion,
    owner: database.owner,
    extensions: await extensions(client),
    schemaVersion: await schemaVersion(client, options.schemaVersion, options.onProblem),
    snapshot: options.snapshot,
    lsn: await walPosition(client, server.inRecovery),
  };
}

/** @throws VERSION_UNSUPPORTED */
export function assertSupported(client: Client): void {
  if (client.serverVersion >= OLDEST_SERVER) return;
  throw new BackplanError(
    'VERSION_UNSUPPORTED',
    `the server is PostgreSQL ${versionText(client.serverVersion)}; backplan needs ${versionText(OLDEST_SERVER)} or newer`,
    { hint: 'Upgrade the server; PostgreSQL 12 and older get no fixes any more.' },
  );
}

/**
 * Takes the locks of a dump (ACCESS SHARE) for the session that looks at the same tables. Without them, an ALTER
 * TABLE that queues behind pg_dump would make this session wait, or see a table emptied by a rewrite.
 */
export async function lockTables(
  client: Client,
  tables: readonly { readonly schema: string; readonly table: string }[],
  timeoutMs: number,
): Promise<void> {
  await client.query(`SET LOCAL lock_timeout = ${Math.max(1, Math.round(timeoutMs))}`);
  for (let start = 0; start < tables.length; start += 200) {
    const names = tables
      .slice(start, start + 200)
      .map(({ schema, table }) => `${identifier(schema)}.${identifier(table)}`);
    await client.query(`LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`);
  }
}
