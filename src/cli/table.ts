/** Aligned columns for listings. */
import { stripVTControlCharacters } from 'node:util';

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: 'left' | 'right';
}

/** Rows under a header, two spaces between columns, no trailing blanks. A column that is empty in every row is left out. */
export function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  styleHeader: (text: string) => string,
): string {
  const cells = rows.map((row) => columns.map((column) => column.value(row)));
  const shown = columns.flatMap((_, index) => (cells.some((line) => line[index] !== '') ? [index] : []));
  const widths = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...cells.map((line) => displayWidth(line[index] ?? ''))),
  );
  const line = (texts: readonly string[]) =>
    shown
      .map((index) => pad(texts[index] ?? '', widths[index] ?? 0, columns[index]?.align ?? 'left'))
      .join('  ')
      .trimEnd();
  const header = line(columns.map((column) => column.title));
  return [styleHeader(header), ...cells.map(line)].join('\n');
}

/** Label and value pairs, values aligned. */
export function pairs(entries: readonly (readonly [string, string])[], margin = ''): string {
  const width = Math.max(0, ...entries.map(([label]) => displayWidth(label)));
  return entries
    .map(([label, value]) => `${margin}${pad(label, width, 'left')}  ${value}`.trimEnd())
    .join('\n');
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const blanks = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + blanks : blanks + text;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;

/** How many cells a terminal uses for a text: colours take none, East Asian characters and emoji two. */
export function displayWidth(text: string): number {
  const plain = stripVTControlCharacters(text);
  if (/^[\x20-\x7e]*$/.test(plain)) return plain.length;
  let width = 0;
  for (const { segment } of new Intl.Segmenter().segment(plain)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}
