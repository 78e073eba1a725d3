/** Report files: each format is what its readers accept, with hostile names in it. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { reportFormats } from '../../src/report/files/index.ts';
import {
  backupsOf,
  gatherReport,
  type RunReport,
  runReportSchema,
} from '../../src/report/files/run-report.ts';
import { events, record } from './events.ts';
import { parseXml } from './xml.ts';

const EVIL = `<b>&"' \`]]> | # @user \u0000\u001b[31m\ud800 \\ 🎉\nnext`;

function sample(): RunReport {
  const { reporter, checks } = gatherReport();
  for (const event of events()) reporter.on(event);
  const result = (status: string, severity: string, more: object = {}) => ({
    name: `${status} ${EVIL}`,
    kind: 'sql',
    severity,
    status,
    message: EVIL,
    durationMs: 7,
    ...more,
  });
  const results = [
    result('passed', 'error'),
    result('warned', 'warn', { samples: [{ id: EVIL }], count: 9, hint: EVIL }),
    result('failed', 'error', { samples: [{ id: 1 }], hint: 'mend it' }),
    result('errored', 'error', { error: EVIL }),
    result('errored', 'warn', { error: 'no' }),
    result('vacuous', 'error'),
    result('skipped', 'warn'),
  ];
  const [own] = checks;
  if (own === undefined) throw new Error('no check report was gathered');
  const report = {
    ...own.report,
    reportVersion: 1,
    kind: 'check',
    suites: ['a & b'],
    database: 'sandbox:crm',
    backup: null,
    counts: { total: 7, passed: 1, warned: 1, failed: 1, errored: 2, skipped: 1, vacuous: 1 },
    durationMs: 61,
    results,
  };
  return {
    reportVersion: 1,
    kind: 'run',
    at: '2026-11-24T03:00:00.000Z',
    tools: { backplan: '0.1.0', node: 'v24.0.0' },
    run: record,
    checks: [{ step: 'check', report: report as (typeof own)['report'] }],
    backups: [
      {
        reference: 'local:crm-20261124T020000Z-x7k2',
        database: 'crm',
        plan: `<script>alert(1)</script>`,
        takenAt: '2026-11-24T02:00:00.000Z',
        durationMs: 4200,
        rows: 1_234_567,
        source: { name: 'crm', serverVersion: '15.18', schemaVersion: null },
        tools: { backplan: '0.1.0', pgDump: '15.18' },
        checksum: 'f'.repeat(64),
        files: [{ path: 'archive.dump.zst', size: 12, sha256: 'a'.repeat(64) }],
        proofs: [
          { kind: 'restored', passed: true, at: '2026-11-24T02:30:00.000Z', run: 'r1', durationMs: 99 },
        ],
      },
    ],
  };
}

const report = sample();
const render = (name: string) => reportFormats.find((format) => format.name === name)?.render(report) ?? '';

describe('a report file', () => {
  it('as JSON fits its schema', () => {
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(runReportSchema);
    expect(validate(JSON.parse(render('json'))), JSON.stringify(validate.errors)).toBe(true);
    expect(backupsOf(record)).toEqual(['local:crm-20261124T020000Z-x7k2']);
  });

  it('as JUnit is well-formed XML whose figures fit', () => {
    const root = parseXml(render('junit'));
    expect(root.name).toBe('testsuites');
    const suites = root.children.filter(({ name }) => name === 'testsuite');
    expect(suites.map(({ attributes }) => attributes.name)).toEqual(['check: a & b', 'steps of nightly']);
    const cases = suites.flatMap(({ children }) => children.filter(({ name }) => name === 'testcase'));
    const marked = (of: string) =>
      cases.filter(({ children }) => children.some(({ name }) => name === of)).length;
    expect(root.attributes).toMatchObject({ tests: '11', failures: '1', errors: '3', skipped: '2' });
    expect([cases.length, marked('failure'), marked('error'), marked('skipped')]).toEqual([11, 1, 3, 2]);
    for (const suite of suites) expect(Number(suite.attributes.tests)).toBe(suite.children.length);
    // The check step is told by its checks, and a warning passes with its text.
    expect(cases.some(({ attributes }) => attributes.name === 'check (check)')).toBe(false);
    expect(marked('system-out')).toBe(3);
    const failed = cases.find(({ children }) => children.some(({ name }) => name === 'failure'));
    expect(failed?.children[0]?.text).toContain('hint: mend it');
    expect(failed?.attributes.name).toContain(`<b>&"'`);
  });

  it('as TAP has its plan, one line a point, and known failures as TODO', () => {
    const lines = render('tap').trimEnd().split('\n');
    expect(lines[0]).toBe('TAP version 14');
    const points = lines.filter((line) => /^(not )?ok /.test(line));
    expect(lines[1]).toBe(`1..${points.length}`);
    for (const [index, line] of points.entries())
      expect(line).toMatch(new RegExp(`^(not )?ok ${index + 1} - `));
    const directive = / # (TODO|SKIP)/;
    // Without those of a directive, # is escaped.
    for (const line of points)
      expect(line.replace(directive, '').replaceAll(/\\[\\#]/g, '')).not.toContain('#');
    expect(points.filter((line) => line.startsWith('not ok') && !directive.test(line))).toHaveLength(4);
    expect(points.filter((line) => line.includes(' # TODO '))).toHaveLength(3);
    // Everything else is a YAML block of JSON values.
    let inside = false;
    for (const line of lines.slice(2)) {
      if (line === '  ---' || line === '  ...') inside = line === '  ---';
      else if (inside) expect(() => JSON.parse(line.replace(/^ {2}\w+: /, ''))).not.toThrow();
      else expect(line).toMatch(/^(not )?ok /);
    }
  });

  it('as Markdown has no markup but its own', () => {
    const text = render('markdown');
    expect(text).toContain('## ❌ nightly of crm-license-system: failed, rejected');
    const own = /<\/?(?:details|summary)>/g;
    expect(text.replaceAll(own, '')).not.toMatch(/<|@/);
    for (const row of text.split('\n').filter((line) => line.startsWith('| '))) {
      expect([4, 5, 6]).toContain(row.replaceAll(/\\[\\|]/g, '').split('|').length - 1);
    }
    expect(text).toContain('mend it');
    expect(text).toContain('✓ restored');
  });

  it('as HTML is one well-formed page without script or anything loaded', () => {
    const text = render('html');
    const page = parseXml(text.replace(/^<!doctype html>/, '').replaceAll(/<meta ([^>]*)>/g, '<meta $1/>'));
    expect(page.name).toBe('html');
    const names = new Set<string>();
    const walk = (node: typeof page) => {
      names.add(node.name);
      for (const child of node.children) walk(child);
    };
    walk(page);
    for (const name of ['script', 'img', 'link', 'iframe', 'b']) expect(names.has(name), name).toBe(false);
    expect(text).not.toMatch(/https?:|url\(/);
    expect(text).toContain('default-src &#39;none&#39;'.replaceAll('&#39;', "'"));
    for (const said of [
      'What was restored',
      'Proof chain',
      'pg_dump 15.18',
      'mend it',
      'f'.repeat(64),
      'Node v24',
    ]) {
      expect(text).toContain(said);
    }
    expect(text).toContain('&lt;script&gt;');
  });
});
