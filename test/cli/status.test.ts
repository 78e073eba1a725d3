/** What could be recovered now, and report files of whole runs. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { schemas } from '../../src/cli/listing-schemas.ts';
import { runReportSchema } from '../../src/report/files/run-report.ts';
import { compileSchema } from '../../src/validator.ts';
import { parseXml } from '../report/xml.ts';
import { makeWorld, PLAN } from './world.ts';

vi.setConfig({ testTimeout: 240_000 });

interface Status {
  readonly ok: boolean;
  readonly databases: readonly Record<string, unknown>[];
}

const declaring = (rpo: string, rto: string) =>
  PLAN.replace(`crm: { url: "\${CRM_URL}" }`, `crm: { url: "\${CRM_URL}", rpo: ${rpo}, rto: ${rto} }`);

describe('status and reports', () => {
  const world = makeWorld({ plan: declaring('26h', '30m') });
  const at = (name: string) => join(world.folder, name);

  it('without a proven backup meets no objective', async () => {
    const { code, stdout } = await world.run(['status', 'PLAN']);
    expect(stdout).toContain('crm: no backup');
    expect(stdout).toContain('✗ 1d 2h allowed');
    expect(code).toBe(3);
    const checked = await world.run(['check', 'PLAN']);
    expect(checked.stdout).toContain('4/4 checks passed');
    expect(checked.stdout).toContain(
      'crm: the rpo of 26h is not met: there is no backup; the rto of 30m is not met: there is no backup',
    );
    expect(checked.code).toBe(3);
  });

  it('writes what a job showed in every format', async () => {
    const { code, stderr, stdout } = await world.run([
      ...['run', 'PLAN', 'nightly'],
      ...['junit', 'tap', 'json', 'markdown', 'html'].flatMap((name) => ['--report', `${name}=${at(name)}`]),
    ]);
    expect(code, stdout + stderr).toBe(0);
    const check = await compileSchema(runReportSchema);
    const report = JSON.parse(readFileSync(at('json'), 'utf8'));
    expect(check(structuredClone(report))).toEqual([]);
    expect(report.backups[0].proofs.map(({ kind }: { kind: string }) => kind).sort()).toEqual([
      'checked',
      'identical',
      'restored',
    ]);
    expect(parseXml(readFileSync(at('junit'), 'utf8')).attributes).toMatchObject({
      failures: '0',
      errors: '0',
    });
    expect(readFileSync(at('tap'), 'utf8')).not.toContain('not ok');
    expect(readFileSync(at('markdown'), 'utf8')).toContain('## ✅ nightly of cli-test: succeeded, verified');
    const page = readFileSync(at('html'), 'utf8');
    for (const said of [
      'What was restored',
      'Proof chain',
      report.backups[0].checksum,
      'pg\\_dump'.replace('\\', ''),
    ]) {
      expect(page).toContain(said);
    }
    expect(readdirSync(world.folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });

  it('leads with the newest proven backup, its age and how long the rehearsal took', async () => {
    const { code, stdout } = await world.run(['status', 'PLAN']);
    expect(stdout).toMatch(/crm: newest proven backup is \d+[sm] old \(local:crm-/);
    expect(stdout).toMatch(/recovery time {3}the rehearsal took .*✓ 30m allowed/);
    expect(stdout).toContain('identical to its source');
    expect(code).toBe(0);
    const listing = await world.json<Status>(['status', 'PLAN']);
    expect((await compileSchema(schemas.status))(structuredClone(listing))).toEqual([]);
    expect(listing).toMatchObject({ ok: true, databases: [{ rpo: { met: true }, rto: { met: true } }] });
    const marks = await world.run(['backups', 'PLAN']);
    expect(marks.stdout).toMatch(/· +✓ \d+[sm] +✓ \d+[sm] +✓ \d+[sm]/);
  });

  it('ends with 3 when the proof is too old or the rehearsal took too long', async () => {
    writeFileSync(world.plan, declaring('1ms', '1h'));
    expect((await world.run(['status', 'PLAN'])).code).toBe(3);
    writeFileSync(world.plan, declaring('1d', '1ms'));
    const { code, stdout } = await world.run(['status', 'PLAN', '-o', 'json']);
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      databases: [{ rpo: { met: true }, rto: { met: false } }],
    });
    const checked = await world.run(['check', 'PLAN']);
    expect(checked.stdout).toMatch(/crm: the rto of 1ms is not met: the newest rehearsal took /);
    expect(checked.stdout).not.toContain('rpo');
    expect(checked.code).toBe(3);
    writeFileSync(world.plan, declaring('1d', '1h'));
    expect((await world.run(['check', 'PLAN'])).code).toBe(0);
    writeFileSync(world.plan, PLAN);
    expect((await world.run(['status', 'PLAN'])).code).toBe(0);
    expect((await world.run(['check', 'PLAN', '--only', 'table User'])).code).toBe(0);
  });

  it('writes the report of failed checks, and refuses at once what it could not write', async () => {
    world.sql('DELETE FROM "User"; DELETE FROM "Tenant"');
    const { code } = await world.run(['check', 'PLAN', '--report', `tap=${at('failed.tap')}`]);
    expect(code).toBe(3);
    expect(readFileSync(at('failed.tap'), 'utf8')).toMatch(/^not ok \d+ - check: rows of Tenant/m);
    for (const wrong of ['tap', 'xml=a', `tap=${at('nowhere/a')}`]) {
      const refused = await world.run(['check', 'PLAN', '--report', wrong]);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain('--report');
    }
  });
});
