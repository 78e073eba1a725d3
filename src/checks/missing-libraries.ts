/** Extensions and C functions whose files the server lacks. */
import { identifier } from '../postgres/client.ts';
import { attempt } from './attempt.ts';
import type { CheckClient } from './check-kind.ts';

export interface MissingLibrary {
  /** Extension or library. */
  readonly name: string;
  readonly detail: string;
  readonly mend: string;
}

/**
 * Extensions that are installed in the database but whose control file the server does not have, and, where the role
 * may look at files (a superuser), libraries of C functions that are not there.
 */
export async function missingLibraries(client: CheckClient): Promise<MissingLibrary[]> {
  const extensions = await client.query<{ name: string; version: string }>(
    `SELECT e.extname::pg_catalog.text AS name, e.extversion AS version FROM pg_catalog.pg_extension e
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_available_extensions() a WHERE a.name = e.extname) ORDER BY 1`,
  );
  const libraries = (await attempt(client, () => client.query<{ library: string }>(LIBRARIES))) ?? [];
  return [
    ...extensions.map(({ name, version }) => ({
      name,
      detail: `version ${version} is installed in the database, the server has no files of it`,
      mend: `Install the package that brings ${identifier(name)} on the server.`,
    })),
    ...libraries.map(({ library }) => ({
      name: library,
      detail: 'C functions use this library, the server does not have it',
      mend: 'Install the package that brings it on the server.',
    })),
  ];
}

// Other folders than $libdir are looked through only since 18 and only when set so; then nothing can be said from here.
const LIBRARIES = `
WITH folder AS (SELECT setting AS path FROM pg_catalog.pg_config() WHERE name = 'PKGLIBDIR'),
used AS (
  SELECT DISTINCT p.probin AS library FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE l.lanname = 'c' AND p.probin IS NOT NULL AND p.oid >= 16384
)
SELECT library FROM (
  SELECT used.library, CASE WHEN used.library LIKE '/%' THEN used.library
    ELSE folder.path || '/' || pg_catalog.regexp_replace(used.library, '^\\$libdir/', '') END AS path
  FROM used CROSS JOIN folder
) AS paths
WHERE pg_catalog.current_setting('dynamic_library_path') = '$libdir'
  AND NOT EXISTS (
    SELECT FROM (VALUES (''), ('.so'), ('.dylib'), ('.dll')) AS ending(text)
    WHERE (pg_catalog.pg_stat_file(paths.path || ending.text, true)).size IS NOT NULL)
ORDER BY 1`;
