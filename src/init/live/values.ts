/** What a CHECK constraint lists. */

const TEXT_LIST =
  /^\(+(?<column>"(?:[^"]|"")+"|[\w$]+)\)?(?:::text)? = ANY \(+ARRAY\[(?<list>.*?)\]\)?(?:::text\[\])?\)+$/s;
const TEXT_ITEM = /\s*'(?<text>(?:[^']|'')*)'::(?:text|character varying)(?:::text)?\s*(?:,|$)/y;

/**
 * The values of `CHECK (status IN ('a', 'b'))` as the server writes it: `(status = ANY (ARRAY['a'::text, …]))`.
 * undefined for every other condition.
 */
export function valuesOf(expression: string, column: string): string[] | undefined {
  const match = TEXT_LIST.exec(expression);
  if (match?.groups === undefined) return undefined;
  const { column: written = '', list = '' } = match.groups;
  if (written.replace(/^"|"$/g, '').replaceAll('""', '"') !== column) return undefined;
  const values: string[] = [];
  TEXT_ITEM.lastIndex = 0;
  while (TEXT_ITEM.lastIndex < list.length) {
    const text = TEXT_ITEM.exec(list)?.groups?.text;
    if (text === undefined) return undefined;
    values.push(text.replaceAll("''", "'"));
  }
  return values.length === 0 ? undefined : values;
}
