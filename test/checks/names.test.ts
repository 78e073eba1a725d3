import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseName, showName } from '../../src/checks/names.ts';
import { createDatabase } from '../helpers/database.ts';
import { check, HARD_SCHEMA } from './fixture.ts';

describe('parseName', () => {
  it.each([
    ['User', { name: 'User' }],
    ['audit.Log', { schema: 'audit', name: 'Log' }],
    ['"User"', { name: 'User' }],
    ['"odd.schema"."Odd Table"', { schema: 'odd.schema', name: 'Odd Table' }],
    ['audit."Odd ""Table"""', { schema: 'audit', name: 'Odd "Table"' }],
    [' audit . "Log" ', { schema: 'audit', name: 'Log' }],
    ['Odd Table', { name: 'Odd Table' }],
    ['straße', { name: 'straße' }],
    ['_prisma_migrations', { name: '_prisma_migrations' }],
  ])('%s', (text, expected) => {
    expect(parseName(text)).toEqual(expected);
  });

  it.each(['', ' ', '.', 'a.', '.a', 'a.b.c', '"a', 'a"', 'a"b"', '""', '"a"b', 'a..b', 'a\0b'])(
    'refuses %j',
    (text) => {
      expect(() => parseName(text)).toThrow(/is not a table name/);
    },
  );

  it('reads back what showName writes, for any name', () => {
    const part = fc.string({ minLength: 1 }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(
        part.filter((text) => text !== 'public'),
        part,
        (schema, name) => {
          expect(parseName(showName({ schema, name }))).toEqual({ schema, name });
          expect(parseName(showName({ name }))).toEqual({ name });
        },
      ),
    );
  });
});

describe('finding tables', () => {
  const database = createDatabase(
    'names',
    `${HARD_SCHEMA}
    CREATE TABLE tenantlicense (id int);
    CREATE TABLE audit.tenantlicense (id int);
    CREATE TABLE "${'x'.repeat(63)}" (id int);`,
  );
  const find = (name: string) => check(database, 'tables', [name]);

  it('prefers public, then the only one anywhere', async () => {
    expect((await find('tenantlicense')).message).toBe('table "tenantlicense" exists');
    expect((await find('Log')).message).toBe('table "audit"."Log" exists');
    expect((await find('"odd.schema"."Odd ""Table"""')).status).toBe('passed');
    expect((await find('"Odd ""Table"""')).message).toContain('"odd.schema"');
  });

  it('does not guess between schemas', async () => {
    expect(await find('Twice')).toMatchObject({
      status: 'errored',
      error: 'table "Twice" is ambiguous: "audit"."Twice", "other"."Twice"',
      hint: 'Write the schema too, for example audit.Twice.',
    });
    expect((await find('other.Twice')).status).toBe('passed');
  });

  it('says what comes close', async () => {
    expect(await find('TenantLicense')).toMatchObject({
      status: 'failed',
      message: 'table "TenantLicense" does not exist',
      hint: '"tenantlicense" exists, wanted "TenantLicense".',
    });
    expect((await find('public.Log')).hint).toBe('"audit"."Log" exists, wanted "Log".');
    expect((await find('audit.log')).hint).toBe('"audit"."Log" exists, wanted "audit"."log".');
    expect((await find('Tennant')).hint).toBe('"Tenant" exists, wanted "Tennant".');
    expect((await find('Zebra')).hint).toBeUndefined();
  });

  it('does not cut long names to 63 bytes', async () => {
    expect((await find('x'.repeat(63))).status).toBe('passed');
    expect((await find('x'.repeat(64))).status).toBe('failed');
  });

  it('counts views, materialized views and partitioned tables as tables', async () => {
    expect((await find('UserView')).message).toBe('view "UserView" exists');
    expect((await find('UserCount')).message).toBe('materialized view "UserCount" exists');
    expect((await find('Event')).message).toBe('partitioned table "Event" exists');
  });

  it('reaches system schemas only by name', async () => {
    expect((await find('pg_class')).status).toBe('failed');
    expect((await find('pg_catalog.pg_class')).status).toBe('passed');
  });
});
