/** What to install for an extension, and database-level state of archives that backplan did not make. */
import { identifier } from '../postgres/client.ts';
import type { ArchiveEntry } from '../postgres/toc.ts';

/** Debian's packages of extensions that do not come with PostgreSQL; `*` is the major version. */
const PACKAGES: Readonly<Record<string, string>> = {
  vector: 'postgresql-*-pgvector',
  postgis: 'postgresql-*-postgis-3',
  postgis_topology: 'postgresql-*-postgis-3',
  postgis_raster: 'postgresql-*-postgis-3',
  pg_cron: 'postgresql-*-cron',
  pg_partman: 'postgresql-*-partman',
  pgaudit: 'postgresql-*-pgaudit',
  hypopg: 'postgresql-*-hypopg',
  pg_repack: 'postgresql-*-repack',
  pgrouting: 'postgresql-*-pgrouting',
  timescaledb: 'timescaledb-2-postgresql-*',
  plpython3u: 'postgresql-plpython3-*',
  plperl: 'postgresql-plperl-*',
};

/** @param version major version of the server */
export function extensionPackageHint(extensions: readonly string[], version: number): string {
  const packages = extensions.map(
    (name) => PACKAGES[name]?.replace('*', String(version)) ?? 'postgresql-contrib',
  );
  return (
    `Install them for PostgreSQL ${version} there (Debian, Ubuntu: apt-get install ${[...new Set(packages)].join(' ')}). ` +
    'That the backup is bad is not said by this.'
  );
}

/**
 * Archives hold the state of their database under its old name (they always do, for pg_restore --create): the same
 * statements for the new name. The locale was taken care of when the database was made.
 */
export function foreignStateSql(
  entries: readonly ArchiveEntry[],
  database: string,
  options: { readonly noOwner: boolean; readonly noPrivileges: boolean },
): string[] {
  const about = entries.filter(
    ({ type, name }) =>
      type === 'DATABASE PROPERTIES' || (/^(ACL|COMMENT)$/.test(type) && name.startsWith('DATABASE ')),
  );
  const statements = about
    .filter(({ type }) => type !== 'ACL' || !options.noPrivileges)
    .flatMap(({ definition }) => definition.split(/;\n/))
    .map((statement) => statement.trim().replace(/;$/, ''))
    .filter((statement) => statement !== '')
    .map((statement) =>
      statement.replace(/\bDATABASE (?:"(?:[^"]|"")*"|\S+)/, () => `DATABASE ${identifier(database)}`),
    );
  const owner = entries.find(({ type }) => type === 'DATABASE')?.owner ?? null;
  return owner === null || options.noOwner
    ? statements
    : [`ALTER DATABASE ${identifier(database)} OWNER TO ${identifier(owner)}`, ...statements];
}
