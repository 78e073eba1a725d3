import { BackplanError } from '../errors.ts';
import { identifier, literal } from '../postgres/client.ts';
import type { JsonSchema } from '../schema.ts';
import { conclude } from './catalog-check.ts';
import { defineCheck } from './check-kind.ts';

const settingsSchema = {
  type: 'object',
  additionalProperties: { type: ['string', 'number', 'boolean', 'null'] },
} as const satisfies JsonSchema;

/**
 * `databaseSettings: {settings: {search_path: app}}`: what ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET
 * left. pg_restore into a database that exists already does not bring these.
 */
export const databaseSettings = defineCheck({
  kind: 'databaseSettings',
  summary: 'Settings of the database and of roles in it are there (ALTER DATABASE … SET).',
  params: {
    type: 'object',
    description: 'Settings that the database itself must carry.',
    additionalProperties: false,
    properties: {
      settings: {
        ...settingsSchema,
        description: 'Setting → value, as ALTER DATABASE … SET gave it; null: it must not be set.',
        examples: [{ search_path: 'app, public', statement_timeout: '30s' }],
      },
      roles: {
        type: 'object',
        additionalProperties: settingsSchema,
        description: 'Role → its settings in this database.',
        examples: [{ app: { work_mem: '64MB' } }],
      },
      exact: { type: 'boolean', description: 'true: there are no other settings.' },
    },
    examples: [{ settings: { search_path: 'app, public' }, roles: { app: { work_mem: '64MB' } } }],
  },
  title: ({ settings = {}, roles = {} }) =>
    `databaseSettings ${[...Object.keys(settings), ...Object.entries(roles).flatMap(([role, own]) => Object.keys(own).map((name) => `${role}.${name}`))].join(', ')}`.trim(),
  async run(client, { settings = {}, roles = {}, exact }) {
    if (Object.keys(settings).length + Object.keys(roles).length === 0 && exact !== true) {
      throw new BackplanError('INPUT_INVALID', 'the check names no setting', {
        hint: 'Write settings: {name: value}, or exact: true where there must be none.',
      });
    }
    const rows = await client.query<{ database: string; role: string | null; entries: string[] }>(
      `SELECT d.datname::pg_catalog.text AS database, r.rolname::pg_catalog.text AS role, s.setconfig AS entries
       FROM pg_catalog.pg_database d
       LEFT JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = d.oid
       LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
       WHERE d.datname = pg_catalog.current_database()`,
    );
    const database = identifier(rows[0]?.database ?? '');
    const actual = new Map(
      rows.flatMap(({ role, entries }) =>
        (entries ?? []).map((entry): [string, Setting] => {
          const at = entry.indexOf('=');
          const setting = { role, name: entry.slice(0, at), value: entry.slice(at + 1) };
          return [keyOf(setting), setting];
        }),
      ),
    );
    const wanted = [
      ...Object.entries(settings).map(([name, value]) => ({ role: null, name, value })),
      ...Object.entries(roles).flatMap(([role, own]) =>
        Object.entries(own).map(([name, value]) => ({ role, name, value })),
      ),
    ];
    const alter = ({ role }: { readonly role: string | null }) =>
      role === null ? `ALTER DATABASE ${database}` : `ALTER ROLE ${identifier(role)} IN DATABASE ${database}`;
    const problems: { message: string; hint: string }[] = [];
    for (const each of wanted) {
      const there = actual.get(keyOf(each));
      actual.delete(keyOf(each));
      if (each.value === null) {
        if (there === undefined) continue;
        problems.push({
          message: `${labelOf(each)} is set to ${there.value} and must not be set`,
          hint: `${alter(each)} RESET ${identifier(each.name)};`,
        });
      } else if (there === undefined || !sameValue(each.value, there.value)) {
        problems.push({
          message: `${labelOf(each)} is ${there === undefined ? 'not set' : there.value}, expected ${each.value}`,
          hint: `${alter(each)} SET ${identifier(each.name)} = ${toSql(each.name, each.value)};`,
        });
      }
    }
    for (const more of exact === true ? actual.values() : []) {
      problems.push({
        message: `${labelOf(more)} is set to ${more.value} and not in the plan`,
        hint: `${alter(more)} RESET ${identifier(more.name)};`,
      });
    }
    return conclude(problems, `${wanted.length} setting${wanted.length === 1 ? '' : 's'} as declared`);
  },
});

interface Setting {
  readonly role: string | null;
  readonly name: string;
  readonly value: string;
}

/** Names of settings know no case. */
function keyOf({ role, name }: { readonly role: string | null; readonly name: string }): string {
  return JSON.stringify([role, name.toLowerCase()]);
}

function labelOf({ role, name }: { readonly role: string | null; readonly name: string }): string {
  return role === null ? name : `${name} of role ${identifier(role)}`;
}

function sameValue(wanted: unknown, actual: string): boolean {
  if (typeof wanted === 'boolean') {
    return (wanted ? ['on', 'true', 'yes', '1'] : ['off', 'false', 'no', '0']).includes(actual.toLowerCase());
  }
  const plain = (text: string) => text.replaceAll(/\s*,\s*/g, ', ').trim();
  const quoted = (text: string) => plain(text).replaceAll('"', '');
  return plain(String(wanted)) === plain(actual) || quoted(String(wanted)) === quoted(actual);
}

/** search_path and the like are lists of names: as one literal they would be one name. */
function toSql(name: string, value: unknown): string {
  if (typeof value !== 'string') return String(value);
  return /^(search_path|temp_tablespaces|session_preload_libraries|local_preload_libraries)$/i.test(name)
    ? value
        .split(',')
        .map((part) => literal(part.trim().replaceAll('"', '')))
        .join(', ')
    : literal(value);
}
