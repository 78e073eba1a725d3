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
