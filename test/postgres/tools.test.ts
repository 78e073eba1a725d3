import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { findTools, parseVersion, versionText } from '../../src/postgres/tools.ts';
import { temporaryFolder } from '../helpers/database.ts';

const root = temporaryFolder();

/** An installation whose programs only know their version. */
function installation(name: string, version: string, programs = ['pg_dump', 'pg_restore']): string {
  const folder = join(root, name, 'bin');
  mkdirSync(folder, { recursive: true });
  for (const program of programs) {
    writeFileSync(join(folder, program), `#!/bin/sh\necho "${program} (PostgreSQL) ${version}"\n`);
    chmodSync(join(folder, program), 0o755);
  }
  return folder;
}

const v14 = installation('14', '14.9 (Debian 14.9-1)');
const v16 = installation('16', '16.3');
const v16newer = installation('16b', '16.11');
const v18 = installation('18', '18beta2');
const env = { PATH: '' };

test('the lowest major version that is not older than the server, in its newest minor', async () => {
  const binDirectories = [v18, v16, v14, v16newer];
  const choose = async (server: number | undefined, prefer?: number) =>
    (await findTools(server, { binDirectories, env, ...(prefer === undefined ? {} : { prefer }) })).version;
  expect(await choose(140_012)).toBe('14.9');
  expect(await choose(150_004)).toBe('16.11');
  expect(await choose(160_099)).toBe('16.11');
  expect(await choose(170_001)).toBe('18beta2');
  expect(await choose(140_000, 16)).toBe('16.11');
  expect(await choose(160_000, 15)).toBe('16.11');
});

test('folders of the plan go before everything else, unless nothing in them fits', async () => {
  expect((await findTools(150_000, { binDirectories: [v18], env: { PATH: v16 } })).version).toBe('18beta2');
  const tools = await findTools(150_000, { binDirectories: [v14], env: { PATH: v16 } });
  expect([15, 16]).toContain(Math.floor(tools.versionNum / 10_000));
});

test('an installation counts only with all that is needed, and Debian’s wrapper does not count', async () => {
  const lacking = installation('lacking', '19.1', ['pg_dump']);
  const wrapped = join(root, 'wrapped');
  mkdirSync(wrapped);
  writeFileSync(join(root, 'pg_wrapper'), '#!/bin/sh\necho "pg_dump (PostgreSQL) 19.2"\n');
  chmodSync(join(root, 'pg_wrapper'), 0o755);
  for (const name of ['pg_dump', 'pg_restore']) symlinkSync(join(root, 'pg_wrapper'), join(wrapped, name));
  await expect(
    findTools(190_000, { binDirectories: [lacking, wrapped], env, need: ['pg_dump', 'pg_restore'] }),
  ).rejects.toMatchObject({
    code: 'TOOL_TOO_OLD',
    hint: expect.stringContaining('postgresql-client-19'),
  });
});

test('what is missing is said with what to install', async () => {
  await expect(
    findTools(undefined, { binDirectories: [], env, need: ['pg_nonsense'] }),
  ).rejects.toMatchObject({
    code: 'TOOL_MISSING',
    exitCode: 6,
    message: expect.stringContaining('pg_nonsense'),
  });
  await expect(
    findTools(990_000, {
      binDirectories: [inject('cluster').binDirectory],
      env,
      need: ['initdb', 'postgres'],
    }),
  ).rejects.toMatchObject({ code: 'TOOL_TOO_OLD', hint: expect.stringContaining('postgresql-99') });
});

test.each([
  ['pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)', '15.18', 150_018],
  ['postgres (PostgreSQL) 18beta1', '18beta1', 180_000],
  ['pg_dump (PostgreSQL) 19devel', '19devel', 190_000],
])('%s', (text, version, versionNum) => {
  expect(parseVersion(text)).toEqual({ version, versionNum });
});

test('versions as numbers and as text', () => {
  expect(parseVersion('nonsense')).toBeUndefined();
  expect([150_018, 100_000, 90_624].map(versionText)).toEqual(['15.18', '10.0', '9.6.24']);
});
