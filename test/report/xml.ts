/** A strict little parser for tests: throws where XML 1.0 would. Knows elements, attributes, text and the five entities. */

export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  readonly text: string;
}

const NAME = '[A-Za-z_][\\w.:-]*';
const TOKEN = new RegExp(`<(/?)(${NAME})((?:\\s+${NAME}="[^"<]*")*)\\s*(/?)>|([^<]+)`, 'y');

export function parseXml(source: string): XmlElement {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what XML forbids
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(source) || !source.isWellFormed()) {
    throw new Error('a character that XML does not know');
  }
  const body = source.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\s*/, '').trim();
  type Open = { name: string; attributes: Record<string, string>; children: XmlElement[]; text: string };
  const top: Open = { name: '', attributes: {}, children: [], text: '' };
  const stack: Open[] = [top];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < body.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(body);
    const current = stack.at(-1);
    if (match === null || current === undefined) throw new Error(`not XML: ${body.slice(at, at + 60)}`);
    const [, closing, name = '', attributes = '', empty, text] = match;
    if (text !== undefined) {
      current.text += decode(text);
    } else if (closing === '/') {
      if (current.name !== name || attributes !== '') throw new Error(`</${name}> ends <${current.name}>`);
      stack.pop();
    } else {
      const element: Open = { name, attributes: parseAttributes(attributes), children: [], text: '' };
      current.children.push(element);
      if (empty !== '/') stack.push(element);
    }
  }
  const [root] = top.children;
  if (stack.length !== 1 || root === undefined || top.children.length !== 1 || top.text.trim() !== '') {
    throw new Error('not one closed root element');
  }
  return root;
}

function parseAttributes(text: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const [, name = '', value = ''] of text.matchAll(new RegExp(`(${NAME})="([^"]*)"`, 'g'))) {
    if (Object.hasOwn(attributes, name)) throw new Error(`${name} is given twice`);
    attributes[name] = decode(value);
  }
  return attributes;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decode(text: string): string {
  return text.replace(
    /&(?:#(\d+)|(\w+));|&/g,
    (found, code: string | undefined, name: string | undefined) => {
      const character = code === undefined ? ENTITIES[name ?? ''] : String.fromCodePoint(Number(code));
      if (character === undefined) throw new Error(`${found} is no entity`);
      return character;
    },
  );
}
