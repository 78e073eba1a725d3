/** Mutation for `grant`: the privileges are revoked, or given where they must not be. */
import { grantTargets } from '../checks/grant-targets.ts';
import { identifier } from '../postgres/client.ts';
import { aspectOf } from './catalog.ts';
import { type Existence, mutation } from './mutation.ts';

const KINDS = ['table', 'sequence', 'schema', 'function', 'type', 'database'] as const;

type Params = Existence & {
  readonly role: string;
  readonly privileges: readonly string[];
  readonly columns?: readonly string[];
} & { readonly [Kind in (typeof KINDS)[number]]?: string | true };

export const grant = mutation<Params>('grant', async (client, params) => {
  const kind = KINDS.find((each) => params[each] !== undefined);
  if (kind === undefined) return [];
  const name = params[kind];
  const wanted = { kind, name: typeof name === 'string' ? name : '', columns: params.columns ?? [] };
  const [targets] = await grantTargets(client, [wanted]);
  if (targets === undefined || 'message' in targets) return [];
  const role = params.role === 'public' ? 'PUBLIC' : identifier(params.role);
  const each = (statement: (privileges: string, on: string) => string) =>
    targets.map(({ sql, column }) => {
      const list = params.privileges.map((one) =>
        column === undefined ? one : `${one} (${identifier(column)})`,
      );
      return statement(list.join(', '), sql);
    });
  if (params.exists === false) {
    return [{ what: 'grant them', sql: each((list, on) => `GRANT ${list} ON ${on} TO ${role}`) }];
  }
  return params.privileges.flatMap((privilege) => {
    const from = (whom: string, onColumn: boolean) =>
      targets.map(({ sql, column }) => {
        const one = column === undefined || !onColumn ? privilege : `${privilege} (${identifier(column)})`;
        return `REVOKE ${one} ON ${sql} FROM ${whom} CASCADE`;
      });
    return aspectOf(
      privilege,
      { what: `revoke ${privilege}`, sql: from(role, true) },
      // It may come from a grant on the whole table, or to everybody.
      { what: `revoke ${privilege} from all`, sql: [...from(role, false), ...from('PUBLIC', false)] },
    );
  });
});
