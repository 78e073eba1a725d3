/** Makes a database like the one that was backed up, from template0 with its encoding and its locale; and drops one. */
import { BackplanError } from '../errors.ts';
import type { DatabaseLocale } from './catalog.ts';
import { type Client, identifier, literal, sqlState } from './client.ts';

/** What can be said of a locale: for archives from elsewhere perhaps nothing. */
export type WantedLocale = Partial<DatabaseLocale>;

/**
 * CREATE DATABASE. Nothing else is set: owner, grants and settings come after the restore.
 * @param copyFiles copy the template's files instead of writing them to the log: twice as fast, but with two
 * checkpoints that a server with other work would feel
 * @throws LOCALE_MISSING, PERMISSION_DENIED, DISK_SPACE, QUERY_FAILED
 */
export async function createDatabase(
  client: Client,
  name: string,
  locale: WantedLocale,
  { copyFiles = false }: { readonly copyFiles?: boolean } = {},
): Promise<void> {
  // Before 15 there was no other way.
  const strategy = copyFiles && client.serverVersion >= 150_000 ? ' STRATEGY file_copy' : '';
  try {
    await client.query(`${createDatabaseSql(name, locale, client.serverVersion)}${strategy}`);
  } catch (error) {
    throw creationError(error, name, locale);
  }
}

/** DROP DATABASE … WITH (FORCE): sessions on it are ended. */
export async function dropDatabase(client: Client, name: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${identifier(name)} WITH (FORCE)`);
}

/** Source: https://www.postgresql.org/docs/current/sql-createdatabase.html; providers: ICU from 15, builtin from 17. */
export function createDatabaseSql(name: string, locale: WantedLocale, serverVersion: number): string {
  const option = (key: string, value: string | null | undefined) =>
    value === undefined || value === null ? '' : ` ${key} ${literal(value).trim()}`;
  const provider =
    serverVersion < 150_000 || locale.localeProvider === undefined
      ? ''
      : locale.localeProvider === 'icu'
        ? ` LOCALE_PROVIDER icu${option('ICU_LOCALE', locale.locale)}${serverVersion >= 160_000 ? option('ICU_RULES', locale.icuRules) : ''}`
        : locale.localeProvider === 'builtin'
          ? ` LOCALE_PROVIDER builtin${option('BUILTIN_LOCALE', locale.locale)}`
          : ' LOCALE_PROVIDER libc';
  return `CREATE DATABASE ${identifier(name)} TEMPLATE template0${option('ENCODING', locale.encoding)}${provider}${option('LC_COLLATE', locale.collate)}${option('LC_CTYPE', locale.ctype)}`;
}

function creationError(error: unknown, name: string, locale: WantedLocale): unknown {
  if (!(error instanceof BackplanError) || error.code !== 'QUERY_FAILED') return error;
  const options = { cause: error.cause, detail: error.detail };
  if (/locale|collat|encoding|provider/i.test(error.message) && sqlState(error) !== '42501') {
    const wanted = [locale.localeProvider, locale.locale, locale.collate, locale.encoding]
      .filter(Boolean)
      .join(', ');
    return new BackplanError(
      'LOCALE_MISSING',
      `the server cannot make a database with ${wanted}: ${error.message}`,
      {
        ...options,
        hint:
          locale.localeProvider === 'icu' || locale.localeProvider === 'builtin'
            ? 'The server needs to be built with ICU, or be as new as the source.'
            : `Install the locale ${locale.collate ?? ''} on the machine of the server (Debian, Ubuntu: dpkg-reconfigure locales) and restart PostgreSQL.`,
      },
    );
  }
  switch (sqlState(error)) {
    case '42501':
      return new BackplanError(
        'PERMISSION_DENIED',
        `the database "${name}" may not be created: ${error.message}`,
        {
          ...options,
          hint: 'ALTER ROLE … CREATEDB gives the role that right.',
        },
      );
    case '42P04':
      return new BackplanError('RESTORE_FAILED', `there is a database "${name}" already`, {
        ...options,
        hint: 'Drop it first, or restore under another name. Nothing is ever restored over an existing database.',
      });
    case '53100':
      return new BackplanError(
        'DISK_SPACE',
        `the server has no room for "${name}": ${error.message}`,
        options,
      );
    default:
      return error;
  }
}

/** What the CREATE DATABASE statement of an archive (or of a script made with --create) says of the locale. */
export function localeOf(statement: string): WantedLocale {
  const value = (key: string) =>
    new RegExp(`\\b${key}\\s*=\\s*(?:E?'((?:[^']|'')*)'|"?(\\w+)"?)`, 'i')
      .exec(statement)
      ?.slice(1)
      .find((part) => part !== undefined)
      ?.replaceAll("''", "'");
  const provider = value('LOCALE_PROVIDER')?.toLowerCase();
  const locale = value('(?<!ICU_|BUILTIN_)LOCALE');
  const found: WantedLocale = {
    encoding: value('ENCODING'),
    collate: value('LC_COLLATE') ?? locale,
    ctype: value('LC_CTYPE') ?? locale,
    localeProvider:
      provider === 'icu' || provider === 'builtin' || provider === 'libc' ? provider : undefined,
    locale:
      provider === 'icu' ? value('ICU_LOCALE') : provider === 'builtin' ? value('BUILTIN_LOCALE') : undefined,
    icuRules: value('ICU_RULES'),
  };
  return Object.fromEntries(Object.entries(found).filter(([, each]) => each !== undefined));
}
