/** `init`'s suite for roles that are no superuser: what they may not look at is said, and their suite passes. */
import { expect, it } from 'vitest';
import { runSuite } from '../../src/checks/suite.ts';
import { inspectSchema } from '../../src/init/live-schema.ts';
import { notSeen } from '../../src/init/not-seen.ts';
import { withClient } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { sharedUrl, sql } from '../helpers/database.ts';
import { tenants } from './mutations/tenants.ts';
import { kinds, suiteOf } from './mutations/world.ts';

const database = tenants.create();
sql(
  database,
  `DO $$ BEGIN CREATE ROLE mut_all LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
   GRANT pg_read_all_data TO mut_all;
   ALTER ROLE mut_owner LOGIN;
   CREATE SCHEMA elsewhere; CREATE SEQUENCE elsewhere.numbers;
   CREATE TABLE elsewhere.secret (id int PRIMARY KEY DEFAULT nextval('elsewhere.numbers'), country text);
   INSERT INTO elsewhere.secret VALUES (1, 'de');`,
);

it.each([
  ['mut_owner', /"elsewhere"\."secret"/, /"elsewhere"\."numbers"/],
  ['mut_all', /"tenancy"\."tenant"/, undefined],
])('%s: what it may not look at is said, the rest is checked', async (user, tables, sequences) => {
  const connection = parseConnection(sharedUrl(database, user));
  const said = await withClient(connection, { settings: { search_path: '' } }, async (client) =>
    notSeen(await inspectSchema(client)),
  );
  expect(said.join('\n')).toMatch(tables);
  if (sequences !== undefined) expect(said.join('\n')).toMatch(sequences);
  const report = await runSuite({
    connection,
    definitions: await suiteOf(database, user),
    kinds,
    signal: new AbortController().signal,
  });
  expect(report.results.filter(({ status }) => status !== 'passed' && status !== 'warned')).toEqual([]);
  expect(report.results.length).toBeGreaterThan(40);
});
