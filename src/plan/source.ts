/**
 * A plan file as plain data that remembers where everything stands. The only door to the YAML library.
 *
 * YAML 1.2: `on`, `no` and `12:30` are text. Anchors, aliases and merge keys (`<<`) work; duplicate keys, unknown
 * tags, several documents and aliases that unfold without end are refused.
 * Source: https://yaml.org/spec/1.2.2/, https://yaml.org/type/merge.html
 */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type YAMLMap,
} from 'yaml';
import { suggest } from '../suggest.ts';
import { syntaxProblem } from './yaml-errors.ts';

/** Positions in a plan file: both count from 1, columns in UTF-16 units as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A stretch of one line. */
export interface Span extends Position {
  readonly length: number;
}

/** Keys and indexes from the top of the plan. */
export type Path = readonly (string | number)[];

/** Something wrong with the text itself. */
export interface SourceProblem {
  readonly span: Span;
  readonly path: Path;
  readonly message: string;
  readonly hint?: string;
}

export interface PlanSource {
  /** As it was given: shown in messages. */
  readonly file: string;
  readonly text: string;
  /** Plain data: strings, numbers, booleans, null, arrays and objects. */
  readonly value: unknown;
  /** The key at this path; the value where there is no key (list entries); the nearest known parent otherwise. */
  keySpan(path: Path): Span;
  /** The value at this path, or the nearest known parent. */
  valueSpan(path: Path): Span;
  /** A stretch inside a text value, by offsets in the value; best effort for folded text. */
  insideSpan(path: Path, start: number, end: number): Span;
  /** A plain scalar as written: `022` where the value is 22. */
  written(path: Path): string | undefined;
}

/** Values after aliases were unfolded. */
const MAX_VALUES = 200_000;
const MAX_DEPTH = 64;

/** What is remembered of a place: offsets of its key and its value in the text. */
interface Place {
  readonly key?: readonly [number, number];
  readonly value: readonly [number, number];
  /** Set for scalars. */
  readonly written?: string;
}

/** Text → data with positions. Never throws: whatever is wrong is in `problems`. */
export function parseSource(file: string, text: string): { source: PlanSource; problems: SourceProblem[] } {
  const lines = new LineCounter();
  const places = new Map<string, Place>();
  const problems: SourceProblem[] = [];
  const span = (start: number, end: number): Span => {
    const { line, col } = lines.lineStarts.length === 0 ? { line: 1, col: 1 } : lines.linePos(start);
    const newline = text.indexOf('\n', start);
    const stop = Math.min(end, newline === -1 ? text.length : newline);
    return { line: Math.max(line, 1), column: Math.max(col, 1), length: Math.max(1, stop - start) };
  };
  const report = (start: number, end: number, path: Path, message: string, hint?: string) =>
    problems.push({ span: span(start, end), path, message, ...(hint === undefined ? {} : { hint }) });

  let value: unknown;
  try {
    const document = parseDocument(text, {
      version: '1.2',
      merge: true,
      // Done here: the library's own check takes quadratic time and cannot name the first of the two.
      uniqueKeys: false,
      prettyErrors: false,
      lineCounter: lines,
      logLevel: 'error',
    });
    const broken = document.errors.length > 0;
    const seen = new Set<number>();
    for (const error of [...document.errors, ...document.warnings]) {
      const at = span(error.pos[0], error.pos[1]);
      // One mistake makes the parser stumble several times; the first stumble on a line tells most.
      if (seen.has(at.line) || seen.size >= 20) continue;
      seen.add(at.line);
      problems.push({ span: at, path: [], ...syntaxProblem(error.code, error.message, text, error.pos[0]) });
    }
    const directive = document.directives?.yaml;
    if (directive?.explicit === true && directive.version !== '1.2') {
      report(text.indexOf('%YAML'), text.indexOf('%YAML') + 9, [], 'a plan is YAML 1.2', 'Remove this line.');
    }
    if (!broken)
      value = new Converter(document, places, report, (offset) => lines.linePos(offset).line).convert();
  } catch (error) {
    // Stack depth is the one limit that the library leaves to the engine.
    if (!(error instanceof RangeError || error instanceof TooMuch)) throw error;
    if (error instanceof TooMuch) report(...error.range, [], error.message, error.hint);
    else report(0, 1, [], 'is nested too deeply');
  }

  const find = (path: Path): Place | undefined => {
    for (let length = path.length; length >= 0; length--) {
      const place = places.get(keyOf(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return undefined;
  };
  const valueSpan = (path: Path): Span => {
    const place = find(path);
    return place === undefined ? span(0, 1) : span(...(place.value as [number, number]));
  };
  const source: PlanSource = {
    file,
    text,
    value,
    valueSpan,
    keySpan(path) {
      const place = find(path);
      return place?.key === undefined ? valueSpan(path) : span(...(place.key as [number, number]));
    },
    insideSpan(path, start, end) {
      const place = places.get(keyOf(path));
      const content = at(value, path);
      if (place === undefined || typeof content !== 'string') return valueSpan(path);
      const [from, to] = place.value;
      const offset = locate(text.slice(from, to), content, start);
      return offset === undefined ? valueSpan(path) : span(from + offset, from + offset + end - start);
    },
    written: (path) => places.get(keyOf(path))?.written,
  };
  return { source, problems };
}

/** The value at a path in plain data. */
export function at(value: unknown, path: Path): unknown {
  let current = value;
  for (const key of path) {
    if (current === null || typeof current !== 'object' || !Object.hasOwn(current, key)) return undefined;
    current = (current as Record<string | number, unknown>)[key];
  }
  return current;
}

function keyOf(path: Path): string {
  return path.join('\u0000');
}

/**
 * Where offset `start` of a scalar's value stands in its source text, quotes, indentation and escapes included.
 * Walks both side by side; white space counts as equal, because YAML folds it.
 */
function locate(raw: string, content: string, start: number): number | undefined {
  const head = content.slice(start, start + 12).split(/\s/)[0] ?? '';
  const nth = content.slice(0, start).split(head).length - 1;
  if (head !== '') {
    let index = -1;
    for (let count = 0; count <= nth; count++) {
      index = raw.indexOf(head, index + 1);
      if (index === -1) break;
    }
    if (index !== -1) return index;
  }
  let place = /^["']/.test(raw) ? 1 : 0;
  for (let offset = 0; offset < start; offset++) {
    while (place < raw.length && raw[place] !== content[offset]) {
      if (!/\s/.test(raw[place] ?? '')) return undefined;
      place++;
    }
    place++;
  }
  return place < raw.length ? place : undefined;
}

class TooMuch extends Error {
  readonly range: Range;
  readonly hint: string | undefined;

  constructor(message: string, range: Range, hint?: string) {
    super(message);
    this.range = range;
    this.hint = hint;
  }
}

type Report = (start: number, end: number, path: Path, message: string, hint?: string) => void;
type Range = readonly [start: number, end: number];

/** YAML nodes → plain data, with aliases and merge keys unfolded within bounds. */
class Converter {
  readonly #document: Document;
  readonly #places: Map<string, Place>;
  readonly #report: Report;
  readonly #lineOf: (offset: number) => number;
  readonly #anchors = new Map<string, unknown>();
  /** What each alias meant where it stood, found on the first walk in document order. */
  readonly #targets = new Map<unknown, unknown>();
  readonly #open = new Set<unknown>();
  readonly #reported = new Set<string>();
  #lastAlias: [number, number] | undefined;
  #count = 0;

  constructor(
    document: Document,
    places: Map<string, Place>,
    report: Report,
    lineOf: (offset: number) => number,
  ) {
    this.#document = document;
    this.#lineOf = lineOf;
    this.#places = places;
    this.#report = report;
  }

  convert(): unknown {
    return this.#node(this.#document.contents, [], undefined, [0, 1]);
  }

  /** @param key offsets of the key; @param fallback where an empty value is said to be */
  #node(node: unknown, path: Path, key: Range | undefined, fallback: Range): unknown {
    this.#count++;
    if (this.#count > MAX_VALUES) {
      throw new TooMuch(
        `the plan unfolds to more than ${MAX_VALUES.toLocaleString('en')} values here`,
        this.#lastAlias ?? rangeOf(node) ?? fallback,
        this.#lastAlias === undefined ? undefined : 'Aliases (*name) that hold aliases multiply each other.',
      );
    }
    if (path.length > MAX_DEPTH) {
      throw new TooMuch(`is nested more than ${MAX_DEPTH} levels deep`, rangeOf(node) ?? fallback);
    }
    if (isAlias(node)) return this.#alias(node, path, key);
    const range = rangeOf(node) ?? fallback;
    const anchor = (node as { anchor?: string } | null)?.anchor;
    if (anchor !== undefined && !this.#targets.has(node)) {
      this.#anchors.set(anchor, node);
      this.#targets.set(node, node);
    }
    const place = key === undefined ? { value: range } : { key, value: range };
    if (isMap(node)) {
      this.#places.set(keyOf(path), place);
      return this.#within(node, () => this.#map(node, path));
    }
    if (isSeq(node)) {
      this.#places.set(keyOf(path), place);
      return this.#within(node, () =>
        node.items.map((item, index) => this.#node(item, [...path, index], undefined, range)),
      );
    }
    const written = isScalar(node) && typeof node.source === 'string' ? node.source : undefined;
    this.#places.set(keyOf(path), written === undefined ? place : { ...place, written });
    const value = isScalar(node) ? node.value : null;
    // Only tags such as !!binary make other things than plain values; those are reported as unknown.
    if (typeof value === 'object' && value !== null) return String(written ?? '');
    if (typeof value === 'symbol') return '<<';
    return value ?? null;
  }

  #within<T>(node: unknown, convert: () => T): T {
    this.#open.add(node);
    try {
      return convert();
    } finally {
      this.#open.delete(node);
    }
  }

  #alias(node: Alias, path: Path, key: Range | undefined): unknown {
    const target = this.#resolve(node, path);
    const range = rangeOf(node) ?? [0, 1];
    if (target !== undefined) {
      this.#lastAlias = [range[0], range[1]];
      return this.#node(target, path, key, range);
    }
    this.#places.set(keyOf(path), key === undefined ? { value: range } : { key, value: range });
    return null;
  }

  #resolve(node: Alias, path: Path): unknown {
    const range = rangeOf(node) ?? [0, 1];
    const target = this.#targets.get(node) ?? this.#anchors.get(node.source);
    if (target === undefined) {
      const near = suggest(node.source, this.#anchors.keys());
      this.#once(
        range,
        path,
        `unknown alias "*${node.source}"${near === undefined ? '' : `, did you mean "*${near}"?`}`,
        `The anchor (&${near ?? node.source}) must stand before the alias.`,
      );
      return undefined;
    }
    if (this.#open.has(target)) {
      this.#once(range, path, `alias "*${node.source}" stands inside the value that it repeats`);
      return undefined;
    }
    this.#targets.set(node, target);
    return target;
  }

  #map(map: YAMLMap, path: Path): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    for (const [name, { key, value }] of this.#pairs(map, path)) {
      // Not a plain assignment: a key may be called like something that every object inherits.
      Object.defineProperty(result, name, {
        value: this.#node(value, [...path, name], key, key),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    return result;
  }

  /** The pairs of a map with merged ones: explicit keys win over merged ones, earlier sources over later ones. */
  #pairs(map: YAMLMap, path: Path): Map<string, { key: Range; value: unknown }> {
    const pairs = new Map<string, { key: Range; value: unknown }>();
    const merges: unknown[] = [];
    for (const { key, value } of map.items) {
      const range = rangeOf(key) ?? rangeOf(value) ?? [0, 1];
      if (isScalar(key) && typeof key.value === 'symbol') {
        merges.push(value);
        continue;
      }
      const name = this.#keyText(key, range, path);
      const first = name === undefined ? undefined : pairs.get(name);
      if (first !== undefined) {
        this.#once(
          range,
          [...path, name ?? ''],
          `duplicate key, line ${this.#lineOf(first.key[0])} has it already`,
        );
      } else if (name !== undefined) {
        pairs.set(name, { key: range, value });
      }
    }
    for (const merge of merges) {
      for (const [name, pair] of this.#merged(merge, path)) if (!pairs.has(name)) pairs.set(name, pair);
    }
    return pairs;
  }

  #merged(node: unknown, path: Path): Map<string, { key: Range; value: unknown }> {
    const range = rangeOf(node) ?? [0, 1];
    const target = isAlias(node) ? this.#resolve(node, path) : node;
    if (target === undefined) return new Map();
    if (isMap(target)) return this.#within(target, () => this.#pairs(target, path));
    if (isSeq(target)) {
      const pairs = new Map<string, { key: Range; value: unknown }>();
      for (const item of target.items) {
        for (const [name, pair] of this.#merged(item, path)) if (!pairs.has(name)) pairs.set(name, pair);
      }
      return pairs;
    }
    this.#once(range, path, 'only a map, or a list of maps, can be merged with "<<"');
    return new Map();
  }

  #keyText(key: unknown, range: Range, path: Path): string | undefined {
    if (!isScalar(key)) {
      this.#once(range, path, 'a key must be plain text');
      return undefined;
    }
    const name = typeof key.value === 'string' ? key.value : (key.source ?? '');
    if (name === '') {
      this.#once(range, path, 'a key is missing before the colon');
      return undefined;
    }
    if (name === '__proto__') {
      this.#once(range, [...path, name], 'this name is reserved', 'Choose another one.');
      return undefined;
    }
    return name;
  }

  /** Aliased content is met once for every use; its mistakes are told once. */
  #once(range: Range, path: Path, message: string, hint?: string): void {
    const key = `${range[0]} ${message}`;
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    this.#report(range[0], range[1], path, message, hint);
  }
}

function rangeOf(node: unknown): Range | undefined {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range === undefined || range === null ? undefined : [range[0] ?? 0, range[1] ?? 0];
}
