import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makePaint } from '../../src/cli/output.ts';
import { displayWidth, pairs, table } from '../../src/cli/table.ts';

const plain = (text: string) => text;

describe('table', () => {
  it('aligns columns by what a terminal shows, not by characters', () => {
    const paint = makePaint(true);
    const rows = [
      { name: 'crm', size: '187 MB' },
      { name: paint('green', '日本語'), size: '2 B' },
    ];
    const text = table(
      rows,
      [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'SIZE', value: ({ size }) => size, align: 'right' },
      ],
      plain,
    );
    const lines = text.split('\n');
    expect(lines[0]).toBe('NAME      SIZE');
    expect(lines[1]).toBe('crm     187 MB');
    expect(lines.map(displayWidth)).toEqual([14, 14, 14]);
  });

  it('leaves out a column that is empty in every row', () => {
    const text = table(
      [{ id: 'a', label: '' }],
      [
        { title: 'ID', value: ({ id }) => id },
        { title: 'LABEL', value: ({ label }) => label },
      ],
      plain,
    );
    expect(text).toBe('ID\na');
  });

  it('never ends a line with blanks and keeps every value whole', () => {
    const word = fc.stringMatching(/^[a-zäß日🙂]{0,12}$/u);
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word), { minLength: 1, maxLength: 8 }), (rows) => {
        const text = table(
          rows,
          [
            { title: 'A', value: ([a]) => a },
            { title: 'B', value: ([, b]) => b },
          ],
          plain,
        );
        for (const line of text.split('\n')) expect(line).toBe(line.trimEnd());
        for (const [a, b] of rows) {
          expect(text).toContain(a);
          expect(text).toContain(b);
        }
      }),
    );
  });
});

describe('displayWidth', () => {
  it.each([
    ['abc', 3],
    ['ä', 1],
    ['e\u0301', 1],
    ['日本', 4],
    ['🙂', 2],
    ['\u001b[31mred\u001b[39m', 3],
    ['', 0],
  ])('%j is %i cells wide', (text, width) => expect(displayWidth(text)).toBe(width));
});

describe('pairs', () => {
  it('aligns values under each other', () => {
    expect(
      pairs(
        [
          ['database', 'crm'],
          ['age', '5h'],
        ],
        '  ',
      ),
    ).toBe('  database  crm\n  age       5h');
  });
});
