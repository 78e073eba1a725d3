/**
 * Answers what a shell asks while Tab is pressed: `backplan complete -- WORDS…`, the last word being the one under
 * the cursor. One candidate a line as `VALUE<tab>DESCRIPTION`, then `:DIRECTIVE`, which is what the scripts of
 * @bomb.sh/tab read. Never fails: without an answer there are just no candidates.
 */
import { readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Command, Completes } from './command.ts';
import { loadCommands } from './index.ts';
import { isChoices } from './program.ts';

interface Candidate {
  readonly value: string;
  readonly description: string;
}

interface Answer {
  readonly candidates: readonly Candidate[];
  /** The value may go on, as a folder does: no blank after it. */
  readonly open?: boolean;
}

interface KnownOption {
  readonly long: string;
  readonly short: string | undefined;
  readonly description: string;
  readonly takesValue: boolean;
  readonly repeatable: boolean;
  readonly completes: Completes | undefined;
}

const GLOBAL_OPTIONS: readonly KnownOption[] = [
  known('--state <folder>', 'folder of the run journal and logs', { completes: 'file' }),
  known('-o, --output <form>', 'text for people, json for programs', { completes: ['text', 'json'] }),
  known('-y, --yes', 'answer every question with yes'),
  known('-v, --verbose', 'tell more'),
  known('-q, --quiet', 'tell only results and errors'),
  known('--no-color', 'no colours'),
  known('-h, --help', 'show help'),
];

/** Bits of cobra's protocol: the value may go on, and the shell shall not offer files of its own. */
const NO_SPACE = 2;
const NO_FILES = 4;

export async function answerCompletion(words: readonly string[]): Promise<string> {
  const answer = await candidates(words).catch((): Answer => ({ candidates: [] }));
  const lines = answer.candidates.filter(({ value }) => isHarmless(value)).map(formatCandidate);
  return `${[...lines, `:${NO_FILES + (answer.open === true ? NO_SPACE : 0)}`].join('\n')}\n`;
}

/** Bash expands what it is offered: a file called `$(…).yaml` must not become a command. */
function isHarmless(value: string): boolean {
  return /^[\p{L}\p{N}_.@%+=:,/~-]+$/u.test(value);
}

function formatCandidate({ value, description }: Candidate): string {
  return `${value}\t${description.replaceAll(/\s+/g, ' ')}`;
}

async function candidates(words: readonly string[]): Promise<Answer> {
  const current = words.at(-1) ?? '';
  const commands = await loadCommands();
  const line = readLine(words.slice(0, -1), commands);
  const options = [...GLOBAL_OPTIONS, ...(line.command === undefined ? [] : optionsOf(line.command))];
  const inline = /^(--[\w-]+)=(.*)$/.exec(current);
  if (inline !== null) {
    const option = options.find(({ long }) => long === inline[1]);
    return await valuesOf(option?.completes, inline[2] ?? '', line);
  }
  if (line.pending !== undefined) return await valuesOf(line.pending.completes, current, line);
  if (current.startsWith('-')) {
    return starting(
      current,
      options
        .filter(({ long, repeatable }) => repeatable || !line.given.has(long))
        .map(({ long, description }) => ({ value: long, description })),
    );
  }
  if (line.command === undefined) {
    if (line.positional.length > 0) return { candidates: [] };
    return starting(
      current,
      commands.map(({ name, summary }) => ({ value: name, description: summary })),
    );
  }
  const specs = Object.values(line.command.arguments);
  const last = specs.at(-1);
  const spec = specs[line.positional.length] ?? (last?.variadic === true ? last : undefined);
  return await valuesOf(spec?.completes, current, line);
}

interface Line {
  readonly command: Command | undefined;
  /** Arguments of the command; an unknown command where there is none. */
  readonly positional: readonly string[];
  /** Long names of the options before the cursor. */
  readonly given: ReadonlySet<string>;
  /** The option whose value is under the cursor. */
  readonly pending: KnownOption | undefined;
  readonly values: ReadonlyMap<string, string>;
}

function readLine(words: readonly string[], commands: readonly Command[]): Line {
  let command: Command | undefined;
  let pending: KnownOption | undefined;
  const positional: string[] = [];
  const given = new Set<string>();
  const values = new Map<string, string>();
  for (const word of words) {
    if (pending !== undefined) {
      values.set(pending.long, word);
      pending = undefined;
    } else if (word.startsWith('-') && word !== '-') {
      const [name = '', inline] = word.split(/=(.*)/s);
      const option = [...GLOBAL_OPTIONS, ...(command === undefined ? [] : optionsOf(command))].find(
        ({ long, short }) => long === name || short === name,
      );
      if (option === undefined) continue;
      given.add(option.long);
      if (inline !== undefined) values.set(option.long, inline);
      else if (option.takesValue) pending = option;
    } else if (command === undefined && positional.length === 0) {
      command = commands.find(({ name }) => name === word);
      if (command === undefined) positional.push(word);
    } else {
      positional.push(word);
    }
  }
  return { command, positional, given, pending, values };
}

function optionsOf(command: Command): KnownOption[] {
  return Object.values(command.options).map((spec) =>
    known(spec.flags, spec.description, {
      repeatable: spec.repeatable,
      ...(spec.completes === undefined ? {} : { completes: spec.completes }),
      ...(spec.choices === undefined ? {} : { completes: spec.choices }),
    }),
  );
}

function known(
  flags: string,
  description: string,
  details: { repeatable?: boolean; completes?: Completes } = {},
): KnownOption {
  return {
    long: /--[\w-]+/.exec(flags)?.[0] ?? flags,
    short: /^-\w/.exec(flags)?.[0],
    description,
    takesValue: flags.includes('<'),
    repeatable: details.repeatable ?? false,
    completes: details.completes,
  };
}

async function valuesOf(completes: Completes | undefined, current: string, line: Line): Promise<Answer> {
  if (completes === undefined) return { candidates: [] };
  if (isChoices(completes)) {
    return starting(
      current,
      completes.map((value) => ({ value, description: '' })),
    );
  }
  if (completes === 'plan') return files(current, /\.ya?ml$/i);
  if (completes === 'file') return files(current, /./);
  const file = line.positional[0];
  if (file === undefined) return { candidates: [] };
  const { namesFromPlan } = await import('./complete-plan.ts');
  const names = await namesFromPlan(completes, expandHome(file), {
    job: line.positional[1],
    database: line.values.get('--database'),
    state: line.values.get('--state') ?? process.env.BACKPLAN_STATE,
  });
  return { ...starting(current, names), open: completes === 'input' };
}

function starting(current: string, all: readonly Candidate[]): Answer {
  return { candidates: all.filter(({ value }) => value.startsWith(current)) };
}

/** Files that match and every folder, as the person began to type them. */
function files(current: string, matches: RegExp): Answer {
  const folder = current.endsWith('/') ? current : dirname(current);
  const start = current.endsWith('/') ? '' : basename(current);
  const prefix = current.slice(0, current.length - start.length);
  const found = readdirSync(expandHome(folder === '' ? '.' : folder), { withFileTypes: true })
    .filter(({ name }) => name.startsWith(start) && (start.startsWith('.') || !name.startsWith('.')))
    .flatMap((entry) => {
      if (entry.isDirectory()) return [{ value: `${prefix}${entry.name}/`, description: '' }];
      return matches.test(entry.name) ? [{ value: `${prefix}${entry.name}`, description: '' }] : [];
    })
    .sort((a, b) => a.value.localeCompare(b.value));
  return { candidates: found, open: found.some(({ value }) => value.endsWith('/')) };
}

function expandHome(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}
