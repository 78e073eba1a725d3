/** The sum over large objects is the same whoever reads them, and tells one byte. */
import { expect, it } from 'vitest';
import { type Client, withClient } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { sumLargeObjects } from '../../src/postgres/large-objects.ts';
import { createDatabase, sharedUrl, sql } from '../helpers/database.ts';
import { HARD_ROLES_SQL } from '../helpers/hard-schema.ts';

sql('postgres', HARD_ROLES_SQL);
// Empty, a page and a bit, full pages, zeros, a hole before the only byte, zeros at the end.
const database = createDatabase(
  'lo',
  `SELECT lo_from_bytea(70001, ''), lo_from_bytea(70002, decode(repeat('00ff5c', 1000), 'hex')),
     lo_from_bytea(70003, decode(repeat('ab', 4096), 'hex')), lo_from_bytea(70004, decode(repeat('00', 5000), 'hex')),
     lo_from_bytea(70005, ''), lo_from_bytea(70006, decode('01' || repeat('00', 2047), 'hex'));
   SELECT lo_put(70005, 9000, '\\x07');
   SELECT format('ALTER LARGE OBJECT %s OWNER TO "Hard Reader"', oid) FROM pg_largeobject_metadata \\gexec`,
);

async function sum(user = 'postgres', damage = ''): Promise<string> {
  return await withClient(parseConnection(sharedUrl(database, user)), {}, async (client: Client) => {
    await client.query('BEGIN');
    if (damage !== '') await client.query(damage);
    const result = await sumLargeObjects(client);
    await client.query('ROLLBACK');
    return 'sum' in result ? result.sum : result.reason;
  });
}

it('does not depend on the way they are read', async () => {
  const whole = await sum();
  expect(whole).toMatch(/^-?\d+$/);
  // Not a member of pg_read_all_data in this transaction, so through the functions.
  const plain = await sum(
    'postgres',
    'CREATE ROLE lo_plain; GRANT SELECT ON LARGE OBJECT 70001, 70002, 70003, 70004, 70005, 70006 TO lo_plain; SET LOCAL ROLE lo_plain',
  );
  expect([plain, await sum('Hard Reader')]).toEqual([whole, whole]);
});

it('is the same when a hole is written out as zeros, and another for every change', async () => {
  const whole = await sum();
  expect(await sum('postgres', `SELECT lo_put(70005, 0, decode(repeat('00', 9000), 'hex'))`)).toBe(whole);
  const changes = [
    `SELECT lo_put(70002, 2999, '\\x5d')`,
    `SELECT lo_put(70004, 4000, '\\x01')`,
    `SELECT lo_put(70001, 0, '\\x00')`,
    'SELECT lo_truncate(lo_open(70006, 131072), 2000)',
    'SELECT lo_unlink(70001), lo_create(70007)',
    `SELECT lo_put(70003, 0, lo_get(70002, 0, 2048))`,
  ];
  const sums = await Promise.all(changes.map((change) => sum('postgres', change)));
  expect(new Set([whole, ...sums]).size).toBe(changes.length + 1);
});

it('is not told where one of them may not be read', async () => {
  expect(await sum('postgres', 'CREATE ROLE lo_stranger; SET LOCAL ROLE lo_stranger')).toMatch(
    /permission denied for large object/,
  );
});
