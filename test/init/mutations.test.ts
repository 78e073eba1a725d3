/**
 * A suite made by `init` and a fingerprint find every damage that is done to a copy, and nothing in a whole one: five
 * databases that have little in common, damaged in some two hundred ways.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { checkKinds } from '../../src/checks/index.ts';
import { withClient } from '../../src/postgres/client.ts';
import { parseConnection } from '../../src/postgres/connection.ts';
import { CANONICAL_SETTINGS } from '../../src/postgres/snapshot.ts';
import { backup } from '../../src/steps/backup.ts';
import { check } from '../../src/steps/check.ts';
import { restore } from '../../src/steps/restore.ts';
import { makeContext, suitesOf, type TestContext } from '../helpers/context.ts';
import { FILE_COPY, sharedUrl, sql } from '../helpers/database.ts';
import { thorough } from '../helpers/rounds.ts';
import { crm } from './mutations/crm.ts';
import { events } from './mutations/events.ts';
import { hard } from './mutations/hard.ts';
import { legacy } from './mutations/legacy.ts';
import { tenants } from './mutations/tenants.ts';
import { examine, type Known, know, printSays, suiteSays } from './mutations/world.ts';

/** Those whose restore is the least simple; a thorough run sends all of them through it. */
const RESTORED: ReadonlySet<string> = new Set(['hard']);

describe.each([crm, hard, tenants, legacy, events])('$name', ({ name, create, damages }) => {
  const database = create();
  let known: Known;
  beforeAll(async () => {
    known = await know(database);
  });

  it('gives no false alarm on a whole copy', async () => {
    if (thorough || RESTORED.has(name)) {
      const base = makeContext({ databases: { crm: sharedUrl(database) } });
      const context: TestContext = {
        ...base,
        plan: { ...base.plan, suites: suitesOf({ made: known.checks }) },
        checkKinds: new Map(checkKinds.map((kind) => [kind.kind, kind])),
      };
      const what = { database: 'crm', repository: 'local', fingerprint: 'content', format: 'custom' };
      const made = await backup.run({ ...what, lockTimeout: '60s' }, context);
      const copy = await restore.run(
        { backup: made.backup, into: { staging: 'crm' }, noOwner: false, noPrivileges: false },
        context,
      );
      await check
        .run(
          { suite: 'made', database: copy.database, compareFingerprint: true, timeout: '5m', jobs: 2 },
          context,
        )
        .catch((error: unknown) => expect((error as { detail?: string }).detail ?? error).toBe(''));
      const warned = context.logged.filter(({ level }) => level === 'warn').map(({ message }) => message);
      expect(warned.length, warned.join('\n')).toBe(known.before.size);
      return;
    }
    const copy = `${database}_copy`;
    sql('postgres', `CREATE DATABASE "${copy}" TEMPLATE "${database}" ${FILE_COPY}`);
    await withClient(parseConnection(sharedUrl(copy)), {}, async (client) => {
      await client.query(`BEGIN; ${CANONICAL_SETTINGS}`);
      expect(await printSays(client, known)).toEqual([]);
      expect(await suiteSays(client, known.checks)).toEqual([...known.before]);
    });
  });

  it('finds every damage', { timeout: 300_000 }, async () => {
    const some = damages.filter((_, index) => thorough || index % 3 === 0);
    const missed: unknown[] = [];
    await withClient(parseConnection(sharedUrl(database)), {}, async (client) => {
      for (const damage of some) {
        const { found, said } = await examine(client, damage, known, thorough);
        if (!found) missed.push({ what: damage.what, by: damage.by, ...said });
      }
      await client.query(`BEGIN; ${CANONICAL_SETTINGS}`);
      expect(await printSays(client, known)).toEqual([]);
    });
    expect(missed).toEqual([]);
  });
});
