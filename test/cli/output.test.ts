import { describe, expect, it } from 'vitest';
import { formatError, makePaint, wantsColor } from '../../src/cli/output.ts';

const terminal = { isTTY: true };
const pipe = { isTTY: false };

describe('wantsColor', () => {
  it.each([
    ['a terminal', terminal, false, {}, true],
    ['a pipe', pipe, false, {}, false],
    ['a dumb terminal', terminal, false, { TERM: 'dumb' }, false],
    ['NO_COLOR', terminal, false, { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR, which means nothing', terminal, false, { NO_COLOR: '' }, true],
    ['FORCE_COLOR in a pipe', pipe, false, { FORCE_COLOR: '1' }, true],
    ['FORCE_COLOR=0 on a terminal', terminal, false, { FORCE_COLOR: '0' }, false],
    ['--no-color against FORCE_COLOR', terminal, true, { FORCE_COLOR: '1' }, false],
  ])('%s', (_name, stream, noColor, env, expected) => {
    expect(wantsColor(stream, noColor, env)).toBe(expected);
  });
});

describe('formatError', () => {
  const paint = makePaint(false);

  it('gives code, message, hint and the evidence set off', () => {
    const text = formatError(
      { code: 'DUMP_FAILED', message: 'pg_dump ended', hint: 'Look.', detail: 'line 1\nline 2\n' },
      paint,
    );
    expect(text).toBe('error DUMP_FAILED: pg_dump ended\n  hint: Look.\n  | line 1\n  | line 2');
  });

  it('leaves the diagnostics of a plan at the margin, where editors find file:line:column', () => {
    const text = formatError(
      { code: 'PLAN_INVALID', message: 'bad', detail: 'a.yaml:1:1 error x: y' },
      paint,
    );
    expect(text).toContain('\na.yaml:1:1 error x: y\n');
  });
});
