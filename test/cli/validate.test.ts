import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { validationSchema } from '../../src/cli/listings/validation.ts';
import { compileSchema } from '../../src/validator.ts';
import { cli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/database.ts';

const GOOD = `version: 1
name: good
databases: { crm: { url: "\${CRM_URL}" } }
repositories: { local: { path: ./backups } }
jobs:
  nightly:
    schedule: { cron: "0 2 * * *" }
    steps:
      a: { uses: backup, with: { database: crm, repository: local } }
      b: { uses: command, with: { run: "true" } }
      c: { uses: command, needs: [a, b], with: { run: "true" } }
    onFailure:
      tell: { uses: command, with: { run: "true" } }
`;
const BAD = GOOD.replace('database: crm', 'databse: crm').replace('needs: [a, b]', 'needs: [a, x]');

let folder: string;
const file = (name: string) => join(folder, name);
beforeAll(() => {
  folder = temporaryFolder();
  writeFileSync(file('good.yaml'), GOOD);
  writeFileSync(file('bad.yaml'), BAD);
  writeFileSync(file('warned.yaml'), GOOD.replace('${CRM_URL}', 'postgresql://app:hunter22@db.example/crm'));
  writeFileSync(file('empty.yaml'), '');
  writeFileSync(file('binary.yaml'), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 255]));
  writeFileSync(file('huge.yaml'), `# ${'x'.repeat(10_000_000)}\n`);
  writeFileSync(file('bomb.yaml'), BOMB);
  mkdirSync(file('folder.yaml'));
});

const BOMB = `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghi'
  .split('')
  .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[index]}`).join(', ')}]`)
  .join('\n')}\n`;

describe('validate', () => {
  it('shows the steps of each job of a good plan: in order, side by side by commas', async () => {
    const { code, stdout, stderr } = await cli(['validate', file('good.yaml')]);
    expect(stdout).toContain(`✓ ${file('good.yaml')}: good: 1 database, 1 repository, 1 job`);
    expect(stdout).toContain('nightly  a, b → c; on failure: tell; cron 0 2 * * *');
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });

  it('prints every problem at once, with place, source line, caret and suggestion', async () => {
    const { code, stdout } = await cli(['validate', file('bad.yaml')]);
    expect(code).toBe(2);
    expect(stdout).toMatch(
      /bad\.yaml:9:34 error jobs\.nightly\.steps\.a\.with\.databse: .*did you mean "database"\?/,
    );
    expect(stdout).toMatch(/^ +9 \| .*databse: crm/m);
    expect(stdout).toMatch(/^ +\| +\^+$/m);
    expect(stdout).toMatch(/bad\.yaml:11:\d+ error .*"x"/);
    expect(stdout).toMatch(/✗ \S+bad\.yaml: [2-9] errors/);
  });

  it('does not fail on warnings, and hides the secret that it warns of', async () => {
    const { code, stdout } = await cli(['validate', file('warned.yaml')]);
    expect(code).toBe(0);
    expect(stdout).toContain('warning');
    expect(stdout).not.toContain('hunter22');
  });

  it('looks at all plans, whatever the first ones are like', async () => {
    const { code, stdout } = await cli([
      'validate',
      file('missing.yaml'),
      file('bad.yaml'),
      file('good.yaml'),
    ]);
    expect(code).toBe(2);
    expect(stdout).toContain('missing.yaml:1:1 error no such file');
    expect(stdout).toMatch(/✗ \S+bad\.yaml/);
    expect(stdout).toMatch(/✓ \S+good\.yaml/);
  });

  it('reads standard input as -', async () => {
    const good = await cli(['validate', '-'], { input: GOOD });
    expect(good.stdout).toContain('✓ -: good');
    expect(good.code).toBe(0);
    const bad = await cli(['validate', '-'], { input: BAD });
    expect(bad.stdout).toContain('<stdin>:9:34 error');
    expect(bad.code).toBe(2);
  });

  it.each(['empty', 'binary', 'huge', 'bomb', 'folder'])(
    'refuses a file that is %s, quickly and clearly',
    async (name) => {
      const { code, stdout, stderr } = await cli(['validate', file(`${name}.yaml`)]);
      expect(code).toBe(2);
      expect(stdout).toMatch(/error/);
      expect(stderr).toBe('');
      expect(stdout).not.toMatch(/INTERNAL|^\s+at /m);
      expect(stdout.length).toBeLessThan(5000);
    },
  );

  it('gives one JSON document that keeps to its schema', async () => {
    const { code, stdout } = await cli([
      'validate',
      file('good.yaml'),
      file('bad.yaml'),
      file('missing.yaml'),
      '--output',
      'json',
    ]);
    expect(code).toBe(2);
    const listing = JSON.parse(stdout) as {
      valid: boolean;
      plans: { valid: boolean; jobs: unknown[]; diagnostics: { line: number }[] }[];
    };
    expect((await compileSchema(validationSchema))(structuredClone(listing))).toEqual([]);
    expect(listing.valid).toBe(false);
    expect(listing.plans.map(({ valid }) => valid)).toEqual([true, false, false]);
    expect(listing.plans[0]?.jobs).toEqual([
      { name: 'nightly', cron: '0 2 * * *', waves: [['a', 'b'], ['c']], onFailure: [['tell']] },
    ]);
    expect(listing.plans[1]?.diagnostics[0]?.line).toBe(9);
  });

  it('colours only where it may', async () => {
    const csi = '\u001b[';
    expect((await cli(['validate', file('bad.yaml')])).stdout).not.toContain(csi);
    const forced = await cli(['validate', file('bad.yaml')], { env: { FORCE_COLOR: '1' } });
    expect(forced.stdout).toContain(csi);
    const refused = await cli(['validate', file('bad.yaml'), '--no-color'], { env: { FORCE_COLOR: '1' } });
    expect(refused.stdout).not.toContain(csi);
  });
});

describe('commands that need a plan', () => {
  it('do nothing with an invalid one and say all that is wrong', async () => {
    const { code, stderr, stdout } = await cli(['explain', file('bad.yaml')]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('error PLAN_INVALID: ');
    expect(stderr).toContain('did you mean "database"?');
    expect(stderr).toMatch(/^\S+bad\.yaml:9:34 error/m);
  });

  it('say so in JSON too', async () => {
    const { code, stdout } = await cli(['backups', file('missing.yaml'), '--output', 'json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'PLAN_UNREADABLE' } });
  });
});
