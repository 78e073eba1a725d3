/** Checks of who may do what: schemas, row-level security, grants, roles. */
import { isRecord } from '../../schema-walk.ts';
import { findNamed } from '../live/find.ts';
import type { LiveGrant, LivePolicy } from '../live/security.ts';
import type { LiveSchema } from '../live-schema.ts';
import { type Generator, key, listOf, located, planName, tableKey, texts } from '../subject.ts';

export const schema: Generator = {
  kind: 'schema',
  heading: 'Schemas and whom they belong to.',
  suggest: (live) =>
    live.schemas
      // Whose schema public is has changed between versions of PostgreSQL.
      .filter(({ name }) => name !== 'public')
      .map(({ name, owner }) => ({
        subject: key('schema', name),
        params: isSuperuser(owner, live) ? { name } : { name, owner },
      })),
  subjects: (params, live) =>
    isRecord(params) && typeof params.name === 'string'
      ? [
          {
            subject: key('schema', params.name),
            exists: live.schemas.some(({ name }) => name === params.name),
          },
        ]
      : [],
};

export const rowLevelSecurity: Generator = {
  kind: 'rowLevelSecurity',
  heading: 'Row-level security is on, and the policies say what they said.',
  suggest: (live) =>
    live.rowSecurity.map(({ table, forced, policies }) => ({
      subject: key('rows of', tableKey(table)),
      params: {
        table: planName(table),
        ...(forced ? { forced } : {}),
        policies: policies.map(policyParams),
        exact: true,
      },
    })),
  subjects: (params, live) => {
    const found = located(params, live);
    if (found === undefined || !isRecord(params)) return [];
    const own = live.rowSecurity.find(({ table }) => table === found.live);
    const said = Array.isArray(params.policies) ? params.policies : [];
    const written = new Map(said.map((each) => [isRecord(each) ? each.name : each, each]));
    const now = (own?.policies ?? []).map((policy) => written.get(policy.name) ?? policyParams(policy));
    return [
      {
        subject: key('rows of', tableKey(found.name)),
        exists: own !== undefined,
        ...(own === undefined || params.exact !== true ? {} : listOf('policies', params.policies, now)),
      },
    ];
  },
};

function policyParams({ name, command, permissive, roles, using, check }: LivePolicy): unknown {
  return {
    name,
    command,
    ...(permissive ? {} : { permissive }),
    roles,
    ...(using === null ? {} : { using }),
    ...(check === null ? {} : { check }),
  };
}

export const grant: Generator = {
  kind: 'grant',
  heading: 'Grants: what roles may do, and what everybody may not.',
  suggest: (live) =>
    live.grants.map((each) => {
      const { kind, role, privileges, columns, revoked } = each;
      const name = kind === 'schema' ? each.name : planName(each);
      return {
        subject: grantKey(each),
        params: {
          role,
          privileges,
          ...(kind === 'database' ? { database: true } : { [kind]: name }),
          ...(columns.length === 0 ? {} : { columns }),
          // What was granted on the table holds for its columns; everybody has more by default.
          ...(revoked ? { exists: false } : columns.length > 0 || role === 'public' ? {} : { exact: true }),
        },
      };
    }),
  subjects: (params, live) => {
    if (!isRecord(params) || typeof params.role !== 'string') return [];
    const kind = (['table', 'sequence', 'schema', 'function', 'type', 'database'] as const).find(
      (each) => params[each] !== undefined,
    );
    if (kind === undefined) return [];
    const on = objectOf(kind, params[kind], live);
    const wanted = {
      kind,
      schema: on?.schema ?? '',
      name: on?.name ?? String(params[kind]),
      columns: texts(params.columns) ?? [],
      role: params.role,
      revoked: params.exists === false,
    };
    const own = live.grants.find((each) => grantKey(each) === grantKey(wanted));
    return [
      {
        subject: grantKey(wanted),
        exists: on !== undefined,
        ...(own === undefined || params.exact !== true
          ? {}
          : listOf('privileges', params.privileges, own.privileges)),
      },
    ];
  },
};

/** The object that a grant is on; undefined where it is gone. */
function objectOf(
  kind: LiveGrant['kind'],
  text: unknown,
  live: LiveSchema,
): { readonly schema: string; readonly name: string } | undefined {
  if (kind === 'database') return { schema: '', name: '' };
  if (typeof text !== 'string') return undefined;
  switch (kind) {
    case 'table':
      return live.find(text);
    case 'sequence':
      return findNamed(live.sequences, text);
    case 'schema':
      return live.schemas.some(({ name }) => name === text) ? { schema: text, name: text } : undefined;
    case 'function':
      return findNamed(live.functions, text);
    case 'type':
      // Not all sorts of types are known here, so none is called lost.
      return (
        findNamed(
          live.grants.filter((each) => each.kind === 'type'),
          text,
        ) ?? { schema: '', name: text }
      );
  }
}

function grantKey({
  kind,
  schema: own,
  name,
  columns,
  role,
  revoked,
}: Pick<LiveGrant, 'kind' | 'schema' | 'name' | 'columns' | 'role' | 'revoked'>): string {
  return key('grant', kind, own, name, [...columns].sort(), role, revoked ? 'refused' : 'granted');
}

/** A superuser may be called otherwise on another server. */
function isSuperuser(name: string, live: LiveSchema): boolean {
  return live.roles.some((each) => each.name === name && each.superuser);
}

/** Roles that the database speaks of, superusers left out. Passwords and limits are the server's own affair. */
export const role: Generator = {
  kind: 'role',
  heading:
    'Roles that own something here or were granted something, and their members. They belong to the server, not to a dump.',
  suggest: (live) => {
    const named = new Set([
      ...live.schemas.map(({ owner }) => owner),
      ...live.tables.map(({ owner }) => owner),
      ...live.functions.map(({ owner }) => owner),
      ...live.grants.map((each) => each.role),
      ...live.rowSecurity.flatMap(({ policies }) => policies.flatMap(({ roles }) => roles)),
      ...live.settings.flatMap((each) => (each.role === null ? [] : [each.role])),
    ]);
    // Who is a member has the rights of the group: mostly that is who logs in.
    for (let size = 0; size !== named.size; ) {
      size = named.size;
      for (const { name, memberOf } of live.roles)
        if (memberOf.some((group) => named.has(group))) named.add(name);
    }
    return live.roles
      .filter(({ name, superuser }) => named.has(name) && !superuser)
      .map(({ name, login, bypass, memberOf }) => ({
        subject: key('role', name),
        params: {
          name,
          login,
          superuser: false,
          bypassRowSecurity: bypass,
          ...(memberOf.length === 0 ? {} : { memberOf }),
        },
      }));
  },
  subjects: (params, live) =>
    isRecord(params) && typeof params.name === 'string'
      ? [{ subject: key('role', params.name), exists: live.roles.some(({ name }) => name === params.name) }]
      : [],
};
