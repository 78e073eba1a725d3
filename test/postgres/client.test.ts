import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { BackplanError } from '../../src/errors.ts';
import { connect, identifier, literal, sqlState, withClient } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { createDatabase, sharedUrl, sql } from '../helpers/database.ts';

const database = createDatabase('client');
const connection = () => parseConnection(sharedUrl(database));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

test('an abort ends the query on the server too, not only here', async () => {
  const controller = new AbortController();
  const client = await connect(connection(), { applicationName: 'aborted one', signal: controller.signal });
  // It computes and never writes, so a closed socket alone would go unnoticed.
  const query = client.query('SELECT count(*) FROM generate_series(1, 100000000000)');
  const running = () =>
    sql(
      'postgres',
      "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aborted one' AND state = 'active'",
    ) === '1';
  await until(running);
  controller.abort(new BackplanError('TIMEOUT', 'too long'));
  await expect(query).rejects.toMatchObject({ code: 'TIMEOUT' });
  await until(() => !running());
  await client.close();
});

test('an abort ends waiting for a server that accepts and says nothing', async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as { port: number };
  const controller = new AbortController();
  const connecting = connect(parseConnection(`postgresql://a@127.0.0.1:${port}/b?sslmode=disable`), {
    signal: controller.signal,
  });
  setTimeout(() => controller.abort(new BackplanError('CANCELLED', 'enough')), 50);
  await expect(connecting).rejects.toMatchObject({ code: 'CANCELLED' });
  silent.close();
});

test('settings hold for the session', async () => {
  const rows = await withClient(
    connection(),
    { settings: { statement_timeout: '7s', search_path: '"$user", odd' } },
    (client) =>
      client.query("SELECT current_setting('statement_timeout') AS t, current_setting('search_path') AS s"),
  );
  expect(rows).toEqual([{ t: '7s', s: '"$user", odd' }]);
});

test('errors tell what happened and what to do', async () => {
  await expect(connect(parseConnection(sharedUrl('no such database')))).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
    hint: expect.stringContaining('no database of that name'),
  });
  await expect(connect(parseConnection('postgresql://a:s3cret@127.0.0.1:1/b'))).rejects.toSatisfy(
    (error: BackplanError) =>
      error.code === 'CONNECTION_FAILED' &&
      error.transient &&
      !JSON.stringify(error.toRecord()).includes('s3cret'),
  );
  const failure = await withClient(connection(), {}, (client) => client.query('SELECT 1/0')).catch(
    (error: unknown) => error,
  );
  expect(sqlState(failure)).toBe('22012');
});

test('quoting survives the server', async () => {
  const odd = 'we"ird \\ \' name\n☃';
  const row = await withClient(connection(), {}, (client) =>
    client.first(`SELECT ${literal(odd)} AS ${identifier(odd)}`),
  );
  expect(row).toEqual({ [odd]: odd });
});
