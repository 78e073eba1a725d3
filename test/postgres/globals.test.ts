import { afterAll, expect, test } from 'vitest';
import { withClient } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { captureDatabaseState, captureState, databaseStateSql } from '../../src/postgres/globals.ts';
import { rolesSql } from '../../src/postgres/roles.ts';
import { settingValue, splitNameList } from '../../src/postgres/setting.ts';
import { startCluster } from '../helpers/cluster.ts';
import { createDatabase, sharedUrl, sql } from '../helpers/database.ts';
import { createHardDatabase, HARD_ROLES } from '../helpers/hard-schema.ts';

const at = (database: string) => parseConnection(sharedUrl(database));

test('state goes to another database and back, whatever that had before', async () => {
  const source = createHardDatabase();
  const target = createDatabase(`${source}_other`);
  sql(
    'postgres',
    `GRANT CREATE ON DATABASE "${target}" TO pg_monitor WITH GRANT OPTION; ALTER DATABASE "${target}" SET work_mem = '9MB';
     ALTER ROLE hard_group IN DATABASE "${target}" SET work_mem = '8MB'; COMMENT ON DATABASE "${target}" IS 'old'`,
  );
  await withClient(at('postgres'), {}, async (client) => {
    const wanted = await captureDatabaseState(client, source);
    const plain = await captureDatabaseState(client, 'template1');
    for (const state of [wanted, plain, wanted]) {
      for (const statement of databaseStateSql(state, target, { reset: true })) await client.query(statement);
      const { name: _name, ...reached } = await captureDatabaseState(client, target);
      const { name: _other, ...expected } = state;
      expect(reached).toEqual(expected);
    }
  });
});

test('what the target cannot have is left out', async () => {
  const state = await withClient(at(createHardDatabase()), {}, (client) => captureDatabaseState(client));
  const text = databaseStateSql(state, 'x', {
    skipRoles: ['hard_owner', 'Hard Reader'],
    comment: false,
  }).join('\n');
  expect(text).not.toMatch(/hard_owner|Hard Reader|COMMENT/);
  expect(text).toContain('hard_group');
  expect(databaseStateSql(state, 'x', { owner: false, grants: false }).join('\n')).not.toMatch(
    /OWNER|GRANT|REVOKE/,
  );
  await expect(
    withClient(at('postgres'), {}, (client) => captureDatabaseState(client, 'no such database')),
  ).rejects.toMatchObject({ code: 'DATABASE_MISSING' });
});

test('the roles that a database needs, and no others, without passwords', async () => {
  const name = createHardDatabase();
  sql('postgres', "CREATE ROLE hard_stranger; COMMENT ON ROLE \"Hard Reader\" IS 'it''s a $$ role'");
  const state = await withClient(at(name), {}, captureState);
  sql('postgres', 'DROP ROLE hard_stranger');
  expect(state.roles.map((role) => role.name).sort()).toEqual([...HARD_ROLES, 'postgres'].sort());
  expect(JSON.stringify(state)).not.toMatch(/password|scram|md5/i);
});

test('the SQL of roles runs on another server, twice', async () => {
  const state = await withClient(at(createHardDatabase()), {}, captureState);
  const other = startCluster();
  afterAll(() => other.remove());
  other.psql('postgres', 'CREATE ROLE hard_owner NOCREATEDB LOGIN');
  const text = rolesSql(state.roles, state.memberships);
  other.psql('postgres', text);
  other.psql('postgres', text);
  expect(
    other.psql(
      'postgres',
      "SELECT rolname, rolcanlogin, rolcreatedb, rolconnlimit FROM pg_roles WHERE rolname ~* 'hard' ORDER BY 1",
    ),
  ).toBe('Hard Reader|t|f|7\nhard-member|t|f|-1\nhard_group|f|f|-1\nhard_owner|t|f|-1');
  expect(
    other.psql(
      'postgres',
      "SELECT r.rolname, m.rolname, admin_option FROM pg_auth_members a JOIN pg_roles r ON r.oid = roleid JOIN pg_roles m ON m.oid = member WHERE m.rolname ~* 'hard' ORDER BY 1, 2",
    ),
  ).toBe('hard_group|hard-member|f\nhard_owner|hard_group|t\npg_read_all_data|Hard Reader|f');
});

test.each([
  ['work_mem', '7MB', "'7MB'"],
  ['search_path', '"$user", public, "Odd ""one""", "a, b"', `'$user', 'public', 'Odd "one"', 'a, b'`],
  ['search_path', '""', "''"],
  ['my.own', "it's \\ odd", "E'it''s \\\\ odd'"],
])('the value of %s', (name, stored, written) => {
  expect(settingValue(name, stored)).toBe(written);
});

test('name lists are split as the server writes them', () => {
  expect(splitNameList('a, "B, c", "d""e"')).toEqual(['a', 'B, c', 'd"e']);
});
