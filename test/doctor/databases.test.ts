import { describe, expect, it } from 'vitest';
import { databases } from '../../src/doctor/databases.ts';
import type { DatabaseFacts, Finding, ProbeContext } from '../../src/doctor/probe.ts';
import { createDatabase, sharedUrl, sql, uniqueName } from '../helpers/database.ts';

/** What the probe says of one database. */
async function examine(url: string): Promise<{ findings: Finding[]; facts: Map<string, DatabaseFacts> }> {
  const facts = new Map<string, DatabaseFacts>();
  const context = {
    plan: { databases: { crm: { name: 'crm', url } } },
    signal: AbortSignal.timeout(30_000),
    now: new Date(),
    facts,
  } as unknown as ProbeContext;
  const findings: Finding[] = [];
  for await (const finding of databases.run(context)) findings.push(finding);
  return { findings, facts };
}

const troubles = (findings: readonly Finding[]) => findings.filter(({ status }) => status !== 'ok');

describe('the probe of databases', () => {
  it('has nothing to say against a superuser on a plain database, and passes its facts on', async () => {
    const database = createDatabase('doctor');
    const { findings, facts } = await examine(sharedUrl(database));
    expect(troubles(findings)).toEqual([]);
    expect(findings[0]?.message).toMatch(/PostgreSQL \d+\.\d+, [\d.]+ MB, connected in \d+ ms/);
    expect(facts.get('crm')?.size).toBeGreaterThan(1_000_000);
  });

  it('names what a poor role may not read, and how to let it', async () => {
    const database = createDatabase(
      'doctor',
      'CREATE TABLE "Secret" (id int); CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int);',
    );
    const role = uniqueName('poor');
    sql('postgres', `CREATE ROLE "${role}" LOGIN`);
    try {
      const { findings } = await examine(sharedUrl(database, role));
      const problem = findings.find(({ status }) => status === 'problem');
      expect(problem?.message).toContain('public."Secret"');
      expect(problem?.message).toContain('hidden.t');
      expect(problem?.fix).toContain(`GRANT pg_read_all_data TO "${role}"`);
      const warning = findings.find(({ status }) => status === 'warning');
      expect(warning?.message).toContain('may not restore beside production or promote');
      // The fixes are SQL that works.
      sql('postgres', `${problem?.fix ?? ''} ${warning?.fix ?? ''}`);
      expect(troubles((await examine(sharedUrl(database, role))).findings)).toEqual([]);
    } finally {
      sql('postgres', `ALTER DATABASE "${database}" OWNER TO postgres; DROP ROLE "${role}"`);
    }
  });

  it('sees row-level security that would hide rows from a backup', async () => {
    const role = uniqueName('filtered');
    sql('postgres', `CREATE ROLE "${role}" LOGIN`);
    const database = createDatabase(
      'doctor',
      `CREATE TABLE t (id int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON t TO "${role}"`,
    );
    try {
      const { findings } = await examine(sharedUrl(database, role));
      expect(findings.find(({ status }) => status === 'problem')?.message).toContain(
        'row-level security hides rows of public.t',
      );
    } finally {
      sql(database, `DROP OWNED BY "${role}"`);
      sql('postgres', `DROP ROLE "${role}"`);
    }
  });

  it('tells of staging and previous databases beside production', async () => {
    const database = createDatabase('doctor');
    const mark = (name: string, marker: object) => {
      sql('postgres', `CREATE DATABASE "${name}"`);
      sql('postgres', `COMMENT ON DATABASE "${name}" IS 'backplan:${JSON.stringify(marker)}'`);
    };
    const at = '2026-01-01T00:00:00Z';
    mark(`${database}_staging_x`, { stagingFor: database, run: 'r', backup: null });
    mark(`${database}_previous_a`, { previousOf: database, run: 'r', at, keepUntil: at });
    mark(`${database}_previous_b`, { previousOf: database, run: 'r', at, keepUntil: '2999-01-01T00:00:00Z' });
    mark(`${database}_other`, { stagingFor: 'another', run: 'r', backup: null });
    const { findings } = await examine(sharedUrl(database));
    const said = findings.map(({ status, message }) => `${status} ${message}`).join('\n');
    expect(said).toContain(`warning there is a staging database "${database}_staging_x"`);
    expect(said).toContain(`warning the previous database "${database}_previous_a" was to be kept until`);
    expect(said).toContain(`ok "${database}_previous_b" is kept until 2999-01-01T00:00:00Z`);
    expect(said).not.toContain(`${database}_other`);
  });

  it('says why it cannot connect, without a password', async () => {
    const { findings } = await examine('postgresql://app:hunter22@localhost:1/crm');
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ status: 'problem', fix: expect.stringContaining('Nothing listens') });
    expect(JSON.stringify(findings)).not.toContain('hunter22');
  });

  it('speaks of logical replication that a promotion would break', async () => {
    const database = createDatabase('doctor', 'CREATE PUBLICATION everything FOR ALL TABLES');
    const { findings } = await examine(sharedUrl(database));
    expect(troubles(findings)[0]?.message).toContain('everything');
  });
});
