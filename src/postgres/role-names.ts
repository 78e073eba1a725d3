/** Which roles a statement names: owners, grantees, policies. They must exist before it is run. */

/** Quoted names, literals, words, everything else one by one. */
const TOKEN = /"(?:[^"]|"")*"|'(?:[^']|'')*'|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\S/g;

/** Words that stand where a role stands but name none that could be missing. */
const NO_ROLES = new Set([
  'public',
  'current_user',
  'session_user',
  'current_role',
  'user',
  'none',
  'default',
]);

/** The statements that can name a role; all others (functions above all) may hold the same words as text. */
const NAMING =
  /^\s*(GRANT|REVOKE|ALTER|SET\s+SESSION\s+AUTHORIZATION|CREATE\s+(POLICY|SCHEMA|USER\s+MAPPING))\b/i;

/** After these words a role, or a list of roles, follows. */
const LEADS: readonly (readonly string[])[] = [
  ['OWNER', 'TO'],
  ['FOR', 'ROLE'],
  ['FOR', 'USER'],
  ['USER', 'MAPPING', 'FOR'],
  ['GRANTED', 'BY'],
  ['AUTHORIZATION'],
];

/**
 * Names in one or more statements as pg_dump writes them. Predefined roles (pg_…) are left out: they cannot be
 * created and are always there.
 */
export function rolesIn(statement: string): string[] {
  if (!NAMING.test(statement)) return [];
  const tokens = statement.slice(0, 100_000).match(TOKEN) ?? [];
  const granting = /^\s*(GRANT|REVOKE|CREATE\s+POLICY|ALTER\s+(DEFAULT|POLICY))\b/i.test(statement);
  const found = new Set<string>();
  for (let at = 0; at < tokens.length; at++) {
    const lead = LEADS.find((words) => words.every((word, index) => isWord(tokens[at + index], word)));
    const list = granting && (isWord(tokens[at], 'TO') || isWord(tokens[at], 'FROM'));
    if (lead === undefined && !list) continue;
    for (let next = at + (lead?.length ?? 1); next < tokens.length; next += 2) {
      if (isWord(tokens[next], 'GROUP')) next++;
      const name = roleName(tokens[next]);
      if (name !== undefined) found.add(name);
      if (tokens[next + 1] !== ',') break;
    }
  }
  return [...found];
}

function isWord(token: string | undefined, word: string): boolean {
  return token !== undefined && token.toUpperCase() === word;
}

function roleName(token: string | undefined): string | undefined {
  if (token === undefined) return undefined;
  if (token.startsWith('"')) return token.slice(1, -1).replaceAll('""', '"');
  if (token.startsWith("'")) return token.slice(1, -1).replaceAll("''", "'");
  const name = token.toLowerCase();
  return /^\w/.test(name) && !NO_ROLES.has(name) && !name.startsWith('pg_') ? name : undefined;
}
