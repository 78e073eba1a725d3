/** Values of settings as ALTER … SET wants them, from what the server stores (`name=value` in setconfig). */
import { literal } from './client.ts';

/** Settings whose value is a list of names: each is quoted by itself (GUC_LIST_QUOTE in guc_tables.c). */
const NAME_LISTS = new Set([
  'search_path',
  'temp_tablespaces',
  'session_preload_libraries',
  'local_preload_libraries',
  'shared_preload_libraries',
  'unix_socket_directories',
]);

/** The text behind `SET name TO`. */
export function settingValue(name: string, value: string): string {
  if (!NAME_LISTS.has(name.toLowerCase())) return literal(value).trim();
  const names = splitNameList(value);
  // An empty list must be written as an empty name.
  return names.length === 0 ? "''" : names.map((each) => literal(each).trim()).join(', ');
}

/** `"$user", public, "Odd ""name"` → the names without quotes; unquoted ones are stored folded already. */
export function splitNameList(value: string): string[] {
  return [...value.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,"\s]+))\s*(?:,|$)/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}
