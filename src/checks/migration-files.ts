/** The migrations that a project keeps in a folder, by the layout of each tool. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { BackplanError } from '../errors.ts';

export interface MigrationFile {
  /** As the tool records it in its table. */
  readonly name: string;
  /** As the tool records it, where it does. */
  readonly checksum?: string;
  /** Alembic: the revisions that it follows. */
  readonly after?: readonly string[];
}

export type ReadFiles = (folder: string) => Promise<MigrationFile[]>;

/** @throws INPUT_INVALID when the folder cannot be read */
async function list(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    throw new BackplanError('INPUT_INVALID', `the folder ${folder} of the migrations cannot be read`, {
      hint: 'A relative one starts at the folder of the plan. Check the path, or leave folder out to look at the table alone.',
      cause: error,
    });
  }
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** One folder for each, with migration.sql; the checksum is that of the file. */
export const prismaFiles: ReadFiles = async (folder) => {
  const files: MigrationFile[] = [];
  for (const name of await list(folder)) {
    const content = await readFile(join(folder, name, 'migration.sql')).catch(() => undefined);
    if (content !== undefined) files.push({ name, checksum: sha256(content) });
  }
  return files;
};

/** V1__text.sql, R__text.sql; CRC-32 of the lines without their ends. */
export const flywayFiles: ReadFiles = async (folder) => {
  const files: MigrationFile[] = [];
  for (const name of await list(folder)) {
    if (!/^(V[^_].*?|R|B[^_].*?)__.*\.(sql|java|py)$/.test(name)) continue;
    if (!name.endsWith('.sql')) {
      files.push({ name });
      continue;
    }
    const text = (await readFile(join(folder, name), 'utf8')).replace(/^\uFEFF/, '');
    const lines = text.replace(/\r?\n$/, '').split(/\r\n|\r|\n/);
    const sum = lines.reduce((crc, line) => crc32(line, crc), 0);
    files.push({ name, checksum: String(sum | 0) });
  }
  return files;
};

/** Files whose whole name is recorded. */
export const namedFiles: ReadFiles = async (folder) =>
  (await list(folder))
    .filter((name) => /\.(c|m)?(js|ts|sql|coffee)$/.test(name) && !name.endsWith('.d.ts'))
    .map((name) => ({ name }));

/** 20240101120000_text.rb, 00001_text.up.sql: only the number is recorded. */
export const numberedFiles: ReadFiles = async (folder) => {
  const numbers = (await list(folder))
    .filter((name) => !name.endsWith('.down.sql'))
    .map((name) => /^0*(\d+)_/.exec(name)?.[1])
    .filter((number) => number !== undefined);
  return [...new Set(numbers)].map((name) => ({ name }));
};

/** 1700000000000-Text.ts is recorded as its number and Text1700000000000: the number decides. */
export const typeormFiles: ReadFiles = async (folder) =>
  (await list(folder))
    .filter((name) => /\.(c|m)?(js|ts)$/.test(name) && !name.endsWith('.d.ts'))
    .map((name) => /^(\d{10,})-/.exec(name)?.[1])
    .filter((number) => number !== undefined)
    .map((name) => ({ name }));

/** `app/migrations/0001_text.py`, recorded as app and name. */
export const djangoFiles: ReadFiles = async (folder) => {
  const files: MigrationFile[] = [];
  for (const app of await list(folder)) {
    const names = await readdir(join(folder, app, 'migrations')).catch(() => []);
    for (const name of names.sort()) {
      const match = /^(\d+_.*)\.py$/.exec(name);
      if (match !== null) files.push({ name: `${app}.${match[1]}` });
    }
  }
  return files;
};

/** meta/_journal.json says when each was made, which is what the table holds beside the hash of the file. */
export const drizzleFiles: ReadFiles = async (folder) => {
  await list(folder);
  let entries: { when: number; tag: string }[];
  try {
    entries = JSON.parse(await readFile(join(folder, 'meta', '_journal.json'), 'utf8')).entries;
  } catch (error) {
    throw new BackplanError('INPUT_INVALID', `${folder} has no readable meta/_journal.json`, {
      hint: 'Give the folder that drizzle-kit writes to (out).',
      cause: error,
    });
  }
  return await Promise.all(
    entries.map(async ({ when, tag }) => {
      const content = await readFile(join(folder, `${tag}.sql`)).catch(() => undefined);
      return content === undefined
        ? { name: String(when) }
        : { name: String(when), checksum: sha256(content) };
    }),
  );
};

/** Python files with `revision = '…'` and `down_revision = '…'`. */
export const alembicFiles: ReadFiles = async (folder) => {
  const files: MigrationFile[] = [];
  for (const name of await list(folder)) {
    if (!name.endsWith('.py')) continue;
    const text = await readFile(join(folder, name), 'utf8');
    const revision = /^revision\s*(?::[^=]+)?=\s*['"]([^'"]+)['"]/m.exec(text)?.[1];
    if (revision === undefined) continue;
    const before = /^down_revision\s*(?::[^=]+)?=\s*(.*)$/m.exec(text)?.[1] ?? '';
    files.push({
      name: revision,
      after: [...before.matchAll(/['"]([^'"]+)['"]/g)].map((each) => each[1] ?? ''),
    });
  }
  return files;
};
