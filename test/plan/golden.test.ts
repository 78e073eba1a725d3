/** Bad plans → the exact text that a person sees. `vitest -u` rewrites the expectations; read the diff before. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatDiagnostics } from '../../src/plan/diagnostic.ts';
import { parsePlan } from '../../src/plan/load.ts';
import { AJV_PHRASES, vocabulary } from './vocabulary.ts';

const folder = join(import.meta.dirname, '..', 'golden');
const plans = readdirSync(folder).filter((file) => file.endsWith('.yaml'));

describe('bad plans', () => {
  it.each(plans)('%s', async (file) => {
    const text = readFileSync(join(folder, file), 'utf8');
    const { plan, diagnostics } = await parsePlan(file, text, vocabulary);
    const shown = formatDiagnostics(diagnostics, text, false);
    await expect(`${shown}\n`).toMatchFileSnapshot(join(folder, file.replace('.yaml', '.txt')));
    expect(plan).toBeUndefined();
    expect(shown).not.toMatch(AJV_PHRASES);
    expect(shown).not.toContain('hunter2secret');
    const lines = text.split('\n');
    for (const { line, column } of diagnostics) {
      expect(line).toBeLessThanOrEqual(lines.length);
      expect(column).toBeLessThanOrEqual((lines[line - 1] ?? '').length + 1);
    }
  });

  it('has as many problems as were planted, all in one go', async () => {
    const text = readFileSync(join(folder, 'keys-and-kinds.yaml'), 'utf8');
    const { diagnostics } = await parsePlan('plan.yaml', text, vocabulary);
    expect(diagnostics.filter(({ severity }) => severity === 'error')).toHaveLength(28);
  });

  it('paints for terminals, with the same words', async () => {
    const text = readFileSync(join(folder, 'graph.yaml'), 'utf8');
    const { diagnostics } = await parsePlan('plan.yaml', text, vocabulary);
    const painted = formatDiagnostics(diagnostics, text, true);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes are what is looked for
    expect(painted.replace(/\u001b\[\d+m/g, '')).toBe(formatDiagnostics(diagnostics, text, false));
    expect(painted).toContain('\u001b[31merror\u001b[0m');
    expect(painted).toContain('\u001b[33mwarning\u001b[0m');
  });
});
