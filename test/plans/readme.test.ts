/** What the README shows as a plan is one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createApp } from '../../src/app.ts';
import { parsePlan } from '../../src/plan/load.ts';

it('the plan of the README has no problem', async () => {
  const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8');
  const text = /<!-- plan:start -->\n```yaml\n(.*?)```/s.exec(readme)?.[1] ?? '';
  expect(text).toContain('jobs:');
  const { plan, diagnostics } = await parsePlan('README.yaml', text, createApp().vocabulary);
  expect(diagnostics).toEqual([]);
  expect(Object.keys(plan?.jobs ?? {})).toEqual(['nightly', 'restore']);
});

it('the alerts of the README have no problem', async () => {
  const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8');
  const text = /<!-- alerts:start -->\n```yaml\n(.*?)```/s.exec(readme)?.[1] ?? '';
  const { vocabulary } = createApp();
  const { plan, diagnostics } = await parsePlan(
    'README.yaml',
    `version: 1\nname: x\ndatabases: { d: { url: "\${URL}" } }\n${text}`,
    vocabulary,
  );
  expect(diagnostics).toEqual([]);
  const kinds = Object.values(plan?.notifiers ?? {}).map(({ kind }) => kind);
  expect(new Set(kinds)).toEqual(new Set(vocabulary.notifiers.keys()));
});
