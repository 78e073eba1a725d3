import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  conditionSource,
  formatTemplate,
  isTemplate,
  type Part,
  parseTemplate,
} from '../../src/plan/template.ts';

describe('parseTemplate', () => {
  it('takes texts apart', () => {
    expect(
      parseTemplate('a ${B} ${C:-d ${E}} ${file:/x/${F}} ${{ g + "}}" }} $${H} $${{ i }}').parts,
    ).toEqual([
      { kind: 'text', text: 'a ' },
      { kind: 'variable', name: 'B', start: 2, end: 6 },
      { kind: 'text', text: ' ' },
      {
        kind: 'variable',
        name: 'C',
        fallback: [
          { kind: 'text', text: 'd ' },
          { kind: 'variable', name: 'E', start: 14, end: 18 },
        ],
        start: 7,
        end: 19,
      },
      { kind: 'text', text: ' ' },
      {
        kind: 'file',
        path: [
          { kind: 'text', text: '/x/' },
          { kind: 'variable', name: 'F', start: 30, end: 34 },
        ],
        start: 20,
        end: 35,
      },
      { kind: 'text', text: ' ' },
      { kind: 'expression', source: 'g + "}}"', sourceStart: 40, start: 36, end: 51 },
      { kind: 'text', text: ' ${H} ${{ i }}' },
    ]);
  });

  it.each([
    ["${{ 'a}}b' }}", "'a}}b'"],
    ['${{ {"a": {"b": 1}} }}', '{"a": {"b": 1}}'],
    ["${{ r'\\' }}", "r'\\'"],
    ["${{ '\\'}}' }}", "'\\'}}'"],
    ['${{ """a"}}b""" }}', '"""a"}}b"""'],
    ["${{ 'open }}", "'open"],
    ['${{}}', ''],
  ])('finds the end of %s', (text, source) => {
    const { parts, problems } = parseTemplate(text);
    expect(problems).toEqual([]);
    expect(parts).toMatchObject([{ kind: 'expression', source }]);
  });

  it.each([
    ['${', '"${" is never closed'],
    ['a ${B', '"${" is never closed'],
    ['${A:-b', '"${" is never closed'],
    ['${A:-${B}', '"${" is never closed'],
    ['${file:/x', '"${" is never closed'],
    ['${}', 'names no environment variable'],
    ['${1A}', 'names no environment variable'],
    ['${A-b}', 'names no environment variable'],
    ['${A:?b}', 'names no environment variable'],
    ['${x%.*}', 'names no environment variable'],
    ['${{ a', 'the expression is never closed'],
  ])('cannot take %s apart, and says so', (text, message) => {
    const { problems } = parseTemplate(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain(message);
    expect(problems[0]?.hint).toMatch(/\$\$\{/);
  });

  it('knows dollars that mean nothing', () => {
    for (const text of ['$', '$$', '$A', '$1', '{a}', 'a$', '}}', '$$tag$$', '$ {A}']) {
      expect(parseTemplate(text)).toEqual({ parts: [{ kind: 'text', text }], problems: [] });
      expect(isTemplate(text)).toBe(false);
    }
    expect(isTemplate('$${A}')).toBe(false);
    expect(isTemplate('${A}')).toBe(true);
  });

  it('ends soon on texts made to take long', () => {
    for (const text of ['${', '${A:-', '${{', '${A:-${B}', '$${{', '${file:', "${{'"].map((each) =>
      each.repeat(20_000),
    )) {
      expect(parseTemplate(text).problems.length).toBeLessThanOrEqual(20);
    }
  });

  it('never throws, and its parts cover the text', () => {
    const pieces = fc.constantFrom(
      '$',
      '{',
      '}',
      '${',
      '${{',
      '}}',
      ':-',
      'file:',
      'A',
      '"',
      "'",
      '\\',
      ' ',
      'r',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (list) => {
        const text = list.join('');
        for (const part of parseTemplate(text).parts) {
          if (part.kind !== 'text') expect(text.slice(part.start, part.end)).toMatch(/^\$\{[\s\S]*\}$/);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('formatTemplate', () => {
  const text = fc.stringMatching(/^[${}a"' ]{1,8}$/).map((each) => ({ kind: 'text' as const, text: each }));
  const expression = fc
    .constantFrom('a', 'steps.x', '"}}"', "'$'")
    .map((source) => ({ kind: 'expression' as const, source, sourceStart: 0, start: 0, end: 0 }));

  it('is read back as the same texts and expressions, whatever the texts hold', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(text, expression), { maxLength: 6 }), (parts) => {
        const { parts: again, problems } = parseTemplate(formatTemplate(parts));
        expect(problems).toEqual([]);
        expect(flatten(again)).toEqual(flatten(parts));
      }),
      { numRuns: 2000 },
    );
  });

  /** Texts joined; dollars that had to become an expression count as the text they yield. */
  function flatten(parts: readonly Part[]): string[] {
    const result: string[] = [];
    let last = '';
    for (const part of parts) {
      if (part.kind === 'text') last += part.text;
      else if (part.kind === 'expression' && /^"\$+"$/.test(part.source)) last += part.source.slice(1, -1);
      else if (part.kind === 'expression') {
        result.push(last, part.source);
        last = '';
      } else throw new Error(`a text became a ${part.kind}`);
    }
    return [...result, last];
  }
});

describe('conditionSource', () => {
  it.each([
    ['${{ always() }}', 'always()', 4],
    [' ${{ a }} ', 'a', 5],
    ['always()', 'always()', 0],
    ['  a && b', 'a && b', 2],
  ])('%j is one expression', (condition, source, start) => {
    expect(conditionSource(condition)).toEqual({ source, start });
  });

  it.each(['${{ a }} && b', '${{ a }}${{ b }}', '${A}', '${{ a', '$${{ a }}'])('%j is not', (condition) => {
    expect(conditionSource(condition)).toBeUndefined();
  });
});
