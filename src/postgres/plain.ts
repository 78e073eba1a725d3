/**
 * Reads plain SQL dumps as psql would: statements, COPY data, backslash commands. It finds out what a script holds
 * and whether it is whole, and takes out what must not run in a restore: commands that leave for another database
 * (`\connect`), database-level statements of `pg_dump --create`, and everything psql would do on this machine
 * (`\!`, `\i`, `\copy`). A COPY that the file cuts short would otherwise count as complete for psql.
 * Sources: https://www.postgresql.org/docs/current/sql-syntax-lexical.html, src/bin/psql/psqlscan.l (behaviour).
 */
import type { Readable } from 'node:stream';
import { BackplanError } from '../errors.ts';
import { rolesIn } from './role-names.ts';

/** What a look through a script found. */
export interface PlainFacts {
  /** Written by pg_dump, as its first comment says. */
  byPgDump: boolean;
  /** pg_dump's closing comment was there. */
  complete: boolean;
  /** Written by pg_dumpall: several databases and roles. */
  cluster: boolean;
  serverVersion?: string;
  dumpVersion?: string;
  /** Roles that statements name. */
  readonly roles: Set<string>;
  readonly extensions: Set<string>;
  /** Databases that `\connect` goes to. */
  readonly databases: Set<string>;
  /** The CREATE DATABASE statement of `pg_dump --create`. */
  createDatabase?: string;
  /** What was taken out, for the log. */
  readonly removed: Map<string, number>;
  /** Backslash commands that no dump needs. */
  readonly refused: string[];
  tables: number;
  statements: number;
}

export interface PlainOptions {
  /** Settings that the server does not know: `SET name = …` is left out. */
  readonly unknownSettings?: ReadonlySet<string>;
  /** Leave out ALTER … OWNER TO. */
  readonly noOwner?: boolean;
  /** Leave out grants and default privileges. */
  readonly noPrivileges?: boolean;
}

const [QUOTE, DOUBLE, DASH, SLASH, STAR, DOLLAR, SEMICOLON, BACKSLASH, NEWLINE] = [
  39, 34, 45, 47, 42, 36, 59, 92, 10,
] as const;

type State =
  | { in: 'sql' }
  | { in: 'quote'; escapes: boolean }
  | { in: 'identifier' }
  | { in: 'line comment' }
  | { in: 'block comment'; depth: number }
  | { in: 'dollar'; tag: Buffer }
  | { in: 'copy' };

/** More of one statement than this is passed through unseen: no statement that must be taken out is as long. */
const STATEMENT_BYTES = 1 << 20;

/** Look-ahead that a decision may need: a dollar tag is at most 63 bytes long. */
const LOOK_AHEAD = 130;

/** Streams a script through the scanner; what it yields is what may run. Facts fill while it runs. */
export class PlainScript {
  readonly facts: PlainFacts = {
    byPgDump: false,
    complete: false,
    cluster: false,
    roles: new Set(),
    extensions: new Set(),
    databases: new Set(),
    removed: new Map(),
    refused: [],
    tables: 0,
    statements: 0,
  };
  readonly #options: PlainOptions;
  #state: State = { in: 'sql' };
  /** Bytes not yet given out; a statement starts at `#start`, the scan stands at `#at`. */
  #buffer: Buffer = Buffer.alloc(0);
  #start = 0;
  #at = 0;
  #given = 0;
  /** The beginning of the statement was given out already. */
  #tooLong = false;
  #out: Buffer[] = [];
  /** COPY data begins a line. */
  #lineStart = true;

  constructor(options: PlainOptions = {}) {
    this.#options = options;
  }

  async *filter(source: Readable): AsyncGenerator<Buffer> {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      this.#push(chunk, false);
      yield* this.#take();
    }
    this.#push(Buffer.alloc(0), true);
    yield* this.#take();
  }

  /** Reads to the end without giving anything out. */
  async scan(source: Readable): Promise<PlainFacts> {
    for await (const _part of this.filter(source)) {
      // Only the facts matter.
    }
    return this.facts;
  }

  /** @throws BACKUP_CORRUPT when the script was cut short */
  assertWhole(label: string): void {
    const cut =
      this.#state.in === 'copy'
        ? 'it ends in the middle of the rows of a table'
        : this.#state.in === 'quote' || this.#state.in === 'dollar' || this.#state.in === 'identifier'
          ? 'it ends in the middle of a statement'
          : this.facts.byPgDump && !this.facts.complete
            ? "pg_dump's closing line is missing"
            : this.facts.statements === 0
              ? 'it holds no SQL statement'
              : undefined;
    if (cut === undefined) return;
    throw new BackplanError('BACKUP_CORRUPT', `${label} is not a whole dump: ${cut}`, {
      hint: 'The dump was interrupted or the file was cut. Take another copy of it or an older backup.',
    });
  }

  *#take(): Generator<Buffer> {
    yield* this.#out;
    this.#out = [];
  }

  #push(chunk: Buffer, end: boolean): void {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    while (this.#at < this.#buffer.length) {
      const before = this.#at;
      const state = this.#state;
      const moved = state.in === 'copy' ? this.#scanCopy(end) : this.#scanText(state, end);
      if (!moved || (this.#at === before && this.#state === state)) break;
    }
    if (end) {
      if (this.#start < this.#buffer.length) this.#endStatement(this.#buffer.length);
      this.#give(this.#buffer.length);
    } else if (this.#state.in === 'copy') {
      this.#give(this.#at);
      this.#start = this.#at;
    } else if (this.#at - this.#start > STATEMENT_BYTES) {
      this.#tooLong = true;
      this.#give(this.#at);
      this.#start = this.#at;
    } else {
      this.#give(this.#start);
    }
    this.#buffer = this.#buffer.subarray(this.#given);
    this.#start -= this.#given;
    this.#at -= this.#given;
    this.#given = 0;
  }

  /** Gives out everything up to a position. */
  #give(until: number): void {
    if (until > this.#given) this.#out.push(this.#buffer.subarray(this.#given, until));
    this.#given = Math.max(this.#given, until);
  }

  /** Leaves out what lies between two positions. */
  #leaveOut(from: number, until: number, what: string): void {
    this.#give(from);
    this.#given = until;
    this.facts.removed.set(what, (this.facts.removed.get(what) ?? 0) + 1);
  }

  /** Rows of a COPY end with a line `\.`; until then only line starts matter. False: more bytes are needed. */
  #scanCopy(end: boolean): boolean {
    const bytes = this.#buffer;
    while (this.#at < bytes.length) {
      if (this.#lineStart && bytes[this.#at] === BACKSLASH) {
        if (bytes.length - this.#at < 4 && !end) return false;
        const third = bytes[this.#at + 2];
        if (bytes[this.#at + 1] === 46 && (third === undefined || third === NEWLINE || third === 13)) {
          const newline = bytes.indexOf(NEWLINE, this.#at);
          this.#at = newline < 0 ? bytes.length : newline + 1;
          this.#start = this.#at;
          this.#state = { in: 'sql' };
          return true;
        }
      }
      const newline = bytes.indexOf(NEWLINE, this.#at);
      this.#lineStart = newline >= 0;
      this.#at = newline < 0 ? bytes.length : newline + 1;
    }
    return true;
  }

  #scanText(state: Exclude<State, { in: 'copy' }>, end: boolean): boolean {
    switch (state.in) {
      case 'sql':
        return this.#scanSql(end);
      case 'quote':
        return this.#scanQuote(state.escapes, end);
      case 'identifier':
        return this.#skipPast(Buffer.from('"'));
      case 'dollar':
        return this.#skipPast(state.tag);
      case 'line comment':
        return this.#scanLineComment(end);
      case 'block comment':
        return this.#scanBlockComment(state, end);
    }
  }

  #scanSql(end: boolean): boolean {
    const bytes = this.#buffer;
    for (let at = this.#at; at < bytes.length; at++) {
      const byte = bytes[at];
      switch (byte) {
        case QUOTE: {
          const before = bytes[at - 1];
          const escapes = (before === 69 || before === 101) && !isWord(bytes[at - 2]);
          return this.#enter({ in: 'quote', escapes }, at + 1);
        }
        case DOUBLE:
          return this.#enter({ in: 'identifier' }, at + 1);
        case DASH:
        case SLASH:
        case DOLLAR:
          if (bytes.length - at < LOOK_AHEAD && !end) return this.#wait(at);
          if (byte === DASH && bytes[at + 1] === DASH) return this.#enter({ in: 'line comment' }, at);
          if (byte === SLASH && bytes[at + 1] === STAR)
            return this.#enter({ in: 'block comment', depth: 1 }, at + 2);
          if (byte === DOLLAR && !isWord(bytes[at - 1])) {
            const tag = /^\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$/.exec(
              bytes.toString('latin1', at, at + LOOK_AHEAD),
            )?.[0];
            if (tag !== undefined) {
              return this.#enter({ in: 'dollar', tag: Buffer.from(tag, 'latin1') }, at + tag.length);
            }
          }
          break;
        case BACKSLASH:
          return this.#scanCommand(at, end);
        case SEMICOLON:
          this.#at = at + 1;
          this.#endStatement(at + 1);
          // COPY data begins on the line after the statement.
          if (this.#state.in === 'copy') {
            const newline = bytes.indexOf(NEWLINE, at);
            if (newline >= 0) this.#at = newline + 1;
          }
          return true;
      }
    }
    return this.#wait(bytes.length);
  }

  #scanQuote(escapes: boolean, end: boolean): boolean {
    if (!escapes) return this.#skipPast(Buffer.from("'"));
    const bytes = this.#buffer;
    for (let at = this.#at; at < bytes.length; at++) {
      if (bytes[at] === QUOTE) return this.#enter({ in: 'sql' }, at + 1);
      if (bytes[at] === BACKSLASH) {
        if (at + 1 >= bytes.length && !end) return this.#wait(at);
        at++;
      }
    }
    return this.#wait(bytes.length);
  }

  /** A doubled quote ends one literal and starts the next: no special case is needed. */
  #skipPast(mark: Buffer): boolean {
    const found = this.#buffer.indexOf(mark, this.#at);
    if (found < 0) return this.#wait(Math.max(this.#at, this.#buffer.length - mark.length + 1));
    return this.#enter({ in: 'sql' }, found + mark.length);
  }

  #scanLineComment(end: boolean): boolean {
    const newline = this.#buffer.indexOf(NEWLINE, this.#at);
    if (newline < 0 && !end) return this.#wait(this.#at);
    const until = newline < 0 ? this.#buffer.length : newline;
    this.#noteComment(this.#buffer.toString('utf8', this.#at, Math.min(until, this.#at + 200)));
    return this.#enter({ in: 'sql' }, until);
  }

  #scanBlockComment(state: { depth: number }, end: boolean): boolean {
    const bytes = this.#buffer;
    for (let at = this.#at; at < bytes.length; at++) {
      if (bytes[at] !== STAR && bytes[at] !== SLASH) continue;
      if (at + 1 >= bytes.length && !end) return this.#wait(at);
      if (bytes[at] === STAR && bytes[at + 1] === SLASH) {
        state.depth--;
        at++;
        if (state.depth === 0) return this.#enter({ in: 'sql' }, at + 1);
      } else if (bytes[at] === SLASH && bytes[at + 1] === STAR) {
        state.depth++;
        at++;
      }
    }
    return this.#wait(bytes.length);
  }

  /** A psql command: from the backslash to the end of the line. */
  #scanCommand(at: number, end: boolean): boolean {
    const newline = this.#buffer.indexOf(NEWLINE, at);
    if (newline < 0 && !end) return this.#wait(at);
    const until = newline < 0 ? this.#buffer.length : newline + 1;
    const line = this.#buffer.toString('utf8', at, until).trim();
    const [, name = '', rest = ''] = /^\\(\S+)\s*(.*)$/s.exec(line) ?? [];
    if (name === 'connect' || name === 'c') {
      this.facts.databases.add(connectTarget(rest));
    } else if (name !== 'restrict' && name !== 'unrestrict') {
      this.facts.refused.push(line.slice(0, 80));
    }
    this.#leaveOut(at, until, `\\${name}`);
    // Commands stand between statements; only comments may have gone before.
    if (withoutLeadingComments(this.#buffer.toString('utf8', this.#start, at)) === '') this.#start = until;
    this.#at = until;
    return true;
  }

  #enter(state: State, at: number): boolean {
    this.#state = state;
    this.#at = at;
    return true;
  }

  #wait(at: number): boolean {
    this.#at = at;
    return false;
  }

  #noteComment(comment: string): void {
    if (comment.startsWith('-- PostgreSQL database dump complete')) this.facts.complete = true;
    else if (comment.startsWith('-- PostgreSQL database cluster dump')) this.facts.cluster = true;
    else if (comment.startsWith('-- PostgreSQL database dump')) this.facts.byPgDump = true;
    const version = /^-- Dumped (from database|by pg_dump) version (\S+)/.exec(comment);
    if (version?.[1] === 'from database') this.facts.serverVersion ??= version[2];
    else if (version !== null) this.facts.dumpVersion ??= version[2];
  }

  #endStatement(until: number): void {
    if (this.#tooLong) {
      this.#tooLong = false;
      this.facts.statements++;
    } else if (
      this.#buffer
        .toString('latin1', this.#start, this.#start + 16)
        .trimStart()
        .startsWith('INSERT ')
    ) {
      // By far the most frequent one in dumps made with --inserts.
      this.facts.statements++;
    } else {
      const text = withoutLeadingComments(this.#buffer.toString('utf8', this.#start, until));
      if (text !== '' && text !== ';') this.#noteStatement(text, until);
    }
    this.#start = until;
  }

  #noteStatement(text: string, until: number): void {
    const { facts } = this;
    facts.statements++;
    const head = text.slice(0, 400);
    if (/^COPY\b[\s\S]*\bFROM\s+stdin\b[^;]*;$/i.test(text)) {
      this.#state = { in: 'copy' };
      this.#lineStart = true;
    }
    if (/^CREATE\s+((GLOBAL|LOCAL)\s+)?(UNLOGGED\s+)?TABLE\b/i.test(head)) facts.tables++;
    const extension = /^CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:"((?:[^"]|"")+)"|(\w+))/i.exec(head);
    if (extension !== null) facts.extensions.add(extension[1]?.replaceAll('""', '"') ?? extension[2] ?? '');
    const databaseLevel = DATABASE_LEVEL.exec(head)?.[0];
    const setting = /^SET\s+(?:SESSION\s+|LOCAL\s+)?"?([\w.]+)"?\s*(?:=|TO)/i.exec(head)?.[1];
    if (databaseLevel !== undefined) {
      if (/^CREATE/i.test(databaseLevel)) facts.createDatabase ??= text;
      const [verb = ''] = databaseLevel.split(/\s/);
      this.#leaveOut(this.#start, until, `${verb.toUpperCase()} … DATABASE`);
    } else if (setting !== undefined && this.#options.unknownSettings?.has(setting.toLowerCase())) {
      this.#leaveOut(this.#start, until, `SET ${setting}`);
    } else if (this.#options.noOwner === true && /^ALTER\b[\s\S]*\bOWNER TO\b[^;']*;$/i.test(text)) {
      this.#leaveOut(this.#start, until, 'OWNER TO');
    } else if (
      this.#options.noPrivileges === true &&
      /^(GRANT|REVOKE|ALTER\s+DEFAULT\s+PRIVILEGES)\b/i.test(head)
    ) {
      this.#leaveOut(this.#start, until, 'GRANT, REVOKE');
    }
    for (const role of rolesIn(text.slice(0, 20_000))) facts.roles.add(role);
  }
}

const DATABASE_LEVEL =
  /^(?:(?:CREATE|DROP|ALTER)\s+DATABASE|COMMENT\s+ON\s+DATABASE|ALTER\s+ROLE\s+(?:"(?:[^"]|"")+"|\S+)\s+IN\s+DATABASE|(?:GRANT|REVOKE)\b[^;]*?\bON\s+DATABASE|SECURITY\s+LABEL\b[^;]*?\bON\s+DATABASE)\b/i;

/** `"crm"`, `crm`, `-reuse-previous=on "dbname='crm'"` → crm */
function connectTarget(rest: string): string {
  return (
    /dbname='((?:[^'\\]|\\.)*)'/.exec(rest)?.[1] ?? rest.trim().split(/\s+/)[0]?.replace(/^"|"$/g, '') ?? ''
  );
}

function withoutLeadingComments(text: string): string {
  let rest = text.trimStart();
  for (;;) {
    if (rest.startsWith('--')) {
      const newline = rest.indexOf('\n');
      rest = newline < 0 ? '' : rest.slice(newline + 1).trimStart();
    } else if (rest.startsWith('/*')) {
      const end = rest.indexOf('*/');
      rest = end < 0 ? '' : rest.slice(end + 2).trimStart();
    } else {
      return rest.trimEnd();
    }
  }
}

function isWord(byte: number | undefined): boolean {
  return (
    byte !== undefined &&
    ((byte >= 48 && byte <= 57) ||
      (byte >= 65 && byte <= 90) ||
      (byte >= 97 && byte <= 122) ||
      byte === 95 ||
      byte >= 128)
  );
}
