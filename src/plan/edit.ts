/**
 * Changes to a suite in the text of a plan: whole lines go in and out, everything else stays as it was written,
 * comments, order and spacing included. Finds its places with the YAML library, and never prints with it.
 */
import { type Document, isCollection, isMap, isSeq, type Node, parseDocument, type YAMLSeq } from 'yaml';
import { BackplanError } from '../errors.ts';
import { commentText, flowText } from './write.ts';

export type SuiteEdit =
  /** Behind the last check of its kind, or at the end under its heading. `render` ends with a line break. */
  | {
      readonly edit: 'add';
      readonly kind: string;
      readonly heading: string;
      readonly render: (indent: string) => string;
    }
  /** To the last list of its kind, which must be there. */
  | { readonly edit: 'addItem'; readonly kind: string; readonly item: unknown }
  | { readonly edit: 'remove'; readonly index: number }
  | { readonly edit: 'removeItem'; readonly index: number; readonly kind: string; readonly item: number }
  | {
      readonly edit: 'setList';
      readonly index: number;
      readonly kind: string;
      readonly key: string;
      readonly values: readonly unknown[];
    };

/** The lines from `start` to before `end`, counted from 0, become `lines`. */
interface LineEdit {
  readonly start: number;
  readonly end: number;
  readonly lines: readonly string[];
  /** A new group of checks: behind what else comes in at the same place. */
  readonly group?: boolean;
}

export interface EditedText {
  readonly text: string;
  /** The change as a unified diff, without its header. */
  readonly diff: readonly string[];
}

/** @throws INPUT_INVALID when the suite is written in a way that cannot be changed line by line */
export function editSuite(text: string, suite: string, edits: readonly SuiteEdit[]): EditedText {
  const editor = new Editor(text, suite);
  for (const edit of edits) editor.apply(edit);
  return editor.finish();
}

class Editor {
  readonly #lines: string[];
  readonly #starts: number[];
  readonly #document: Document;
  readonly #list: YAMLSeq;
  readonly #suite: string;
  readonly #edits: LineEdit[] = [];
  /** Lists written on one line (or in brackets) are written anew, once, with all their changes. */
  readonly #bracketed = new Map<YAMLSeq, string[]>();
  readonly #headings = new Set<string>();

  constructor(text: string, suite: string) {
    this.#lines = text.split('\n');
    this.#starts = [0];
    for (const line of this.#lines) this.#starts.push((this.#starts.at(-1) ?? 0) + line.length + 1);
    this.#suite = suite;
    this.#document = parseDocument(text, { version: '1.2', merge: true, uniqueKeys: false });
    const written = this.#document.getIn(['suites', suite], true);
    const list = isMap(written) ? written.get('checks', true) : written;
    if (!isSeq(list)) throw this.#impossible('is not written as a list of its own');
    if (list.flow === true) throw this.#impossible('is written in brackets');
    this.#list = list as YAMLSeq;
  }

  apply(edit: SuiteEdit): void {
    switch (edit.edit) {
      case 'add':
        this.#add(edit);
        return;
      case 'addItem': {
        const lists = this.#list.items.flatMap((entry) => {
          const found = isMap(entry) ? entry.get(edit.kind, true) : undefined;
          return isSeq(found) ? [found as YAMLSeq] : [];
        });
        const list = lists.at(-1);
        if (list === undefined) throw this.#impossible(`has no list of ${edit.kind}`);
        if (list.flow === true) this.#itemsOf(list).push(flowText(edit.item));
        else {
          const at = this.#endLine(list);
          this.#edits.push({
            start: at,
            end: at,
            lines: [`${this.#indentOf(list)}- ${flowText(edit.item)}`],
          });
        }
        return;
      }
      case 'remove':
        this.#removeEntry(this.#list, edit.index);
        return;
      case 'removeItem': {
        const list = this.#within(edit.index, [edit.kind]);
        if (list.flow === true) this.#itemsOf(list)[edit.item] = '';
        else this.#removeEntry(list, edit.item);
        return;
      }
      case 'setList': {
        const list = this.#within(edit.index, [edit.kind, edit.key]);
        if (list.flow === true) {
          this.#bracketed.set(
            list,
            edit.values.map((value) => flowText(value)),
          );
          return;
        }
        const lines = edit.values.map((value) => `${this.#indentOf(list)}- ${flowText(value)}`);
        this.#edits.push({ start: this.#startLine(list), end: this.#endLine(list), lines });
      }
    }
  }

  finish(): EditedText {
    for (const [list, items] of this.#bracketed) {
      const [start, end] = rangeOf(list);
      const [first, last] = [this.#lineAt(start), this.#lineAt(end)];
      const before = (this.#lines[first] ?? '').slice(0, start - (this.#starts[first] ?? 0));
      const after = (this.#lines[last] ?? '').slice(end - (this.#starts[last] ?? 0));
      const content = items.filter((item) => item !== '').join(', ');
      this.#edits.push({ start: first, end: last + 1, lines: [`${before}[${content}]${after}`] });
    }
    const edits = [...this.#edits].sort(
      (a, b) => a.start - b.start || a.end - b.end || Number(a.group ?? 0) - Number(b.group ?? 0),
    );
    const result: string[] = [];
    let next = 0;
    for (const { start, end, lines } of edits) {
      result.push(...this.#lines.slice(next, start), ...lines);
      next = Math.max(next, end);
    }
    result.push(...this.#lines.slice(next));
    // A file from Windows stays one.
    const ends = this.#lines[0]?.endsWith('\r') === true ? '\r\n' : '\n';
    const text = result.map((line) => (ends === '\n' ? line : line.replace(/\r$/, ''))).join(ends);
    return { text, diff: formatDiff(this.#lines, edits) };
  }

  #add({ kind, heading, render }: Extract<SuiteEdit, { edit: 'add' }>): void {
    const indent = this.#indentOf(this.#list);
    const same = this.#list.items.filter((entry) => isMap(entry) && entry.has(kind)) as Node[];
    const last = same.at(-1);
    const lines = render(indent).trimEnd().split('\n');
    if (last === undefined && !this.#headings.has(kind)) {
      this.#headings.add(kind);
      lines.unshift('', commentText(heading, indent));
    }
    const at = this.#endLine(last ?? this.#list);
    this.#edits.push({ start: at, end: at, lines, group: last === undefined });
  }

  #removeEntry(list: YAMLSeq, index: number): void {
    const entry = list.items[index] as Node;
    this.#edits.push({ start: this.#startLine(entry), end: this.#endLine(entry), lines: [] });
  }

  #within(index: number, path: readonly string[]): YAMLSeq {
    const entry = this.#list.items[index];
    const found = isMap(entry) ? entry.getIn(path, true) : undefined;
    if (!isSeq(found)) throw this.#impossible(`has a check that is written elsewhere (number ${index + 1})`);
    return found as YAMLSeq;
  }

  /** The items of a list in brackets, as they are written. */
  #itemsOf(list: YAMLSeq): string[] {
    let items = this.#bracketed.get(list);
    if (items === undefined) {
      const text = this.#lines.join('\n');
      items = list.items.map((item) => text.slice(...rangeOf(item as Node)));
      this.#bracketed.set(list, items);
    }
    return items;
  }

  /** White space in front of the dashes. */
  #indentOf(list: YAMLSeq): string {
    const line = this.#lines[this.#startLine(list)] ?? '';
    return line.slice(0, line.length - line.trimStart().length);
  }

  #startLine(node: Node): number {
    const line = this.#lineAt(rangeOf(node)[0]);
    // A dash alone on its line.
    return /^\s*-\s*(#.*)?$/.test(this.#lines[line - 1] ?? '') ? line - 1 : line;
  }

  /** The line behind what a node says; comments below it belong to what follows. */
  #endLine(node: Node): number {
    const [, end] = rangeOf(lastLeaf(node));
    const line = this.#lineAt(end);
    return end > 0 && end === this.#starts[line] ? line : line + 1;
  }

  #lineAt(offset: number): number {
    let [low, high] = [0, this.#lines.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #impossible(why: string): BackplanError {
    return new BackplanError(
      'INPUT_INVALID',
      `the suite ${this.#suite} ${why}, so it cannot be changed here`,
      {
        hint: 'Write it as one check a line, each behind a dash, or make the change by hand.',
      },
    );
  }
}

function rangeOf(node: Node): [start: number, end: number] {
  const [start = 0, end = 0] = node.range ?? [];
  return [start, end];
}

/** The node that ends a node's text: ranges of block collections run on into the comments that follow. */
function lastLeaf(node: Node): Node {
  if (!isCollection(node) || node.flow === true) return node;
  const last = node.items.at(-1) as Node | { key: Node; value: Node | null } | undefined;
  if (last === undefined) return node;
  return lastLeaf('key' in last && 'value' in last ? (last.value ?? last.key) : (last as Node));
}

const CONTEXT = 2;

/** Unified diff of line edits, those that lie close together in one hunk. */
function formatDiff(lines: readonly string[], edits: readonly LineEdit[]): string[] {
  const hunks: LineEdit[][] = [];
  for (const edit of edits) {
    const hunk = hunks.at(-1);
    const before = hunk?.at(-1);
    if (hunk !== undefined && before !== undefined && edit.start - before.end <= 2 * CONTEXT) hunk.push(edit);
    else hunks.push([edit]);
  }
  let shift = 0;
  return hunks.flatMap((hunk) => {
    const start = Math.max(0, (hunk[0]?.start ?? 0) - CONTEXT);
    const end = Math.min(lines.length, (hunk.at(-1)?.end ?? 0) + CONTEXT);
    const body: string[] = [];
    let next = start;
    for (const edit of hunk) {
      body.push(...lines.slice(next, edit.start).map((line) => ` ${line}`));
      body.push(...lines.slice(edit.start, edit.end).map((line) => `-${line}`));
      body.push(...edit.lines.map((line) => `+${line}`));
      next = Math.max(next, edit.end);
    }
    body.push(...lines.slice(next, end).map((line) => ` ${line}`));
    const after = body.filter((line) => !line.startsWith('-')).length;
    const header = `@@ -${start + 1},${end - start} +${start + 1 + shift},${after} @@`;
    shift += after - (end - start);
    return [header, ...body];
  });
}
