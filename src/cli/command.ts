/**
 * The contract of a command of the command line.
 *
 * A command is data (name, arguments, options, examples, exit codes: everything `--help`, shell completion and the
 * parser need) and one `run`. The data must cost nothing to load, so whatever is heavy is imported inside `run`.
 * `run` returns the exit code, writes through `context.out`, and throws `BackplanError` for what went wrong.
 */
import type { App } from '../app.ts';
import type { ExitCode } from '../errors.ts';
import type { Output } from './output.ts';
import type { InterruptHandler } from './signals.ts';

/** What shell completion offers in a place. Names come from the plan that stands before it on the line. */
export type Completes =
  | 'plan'
  | 'job'
  | 'database'
  | 'repository'
  | 'suite'
  | 'notifier'
  | 'backup'
  | 'run'
  | 'file'
  | 'input'
  | readonly string[];

/** `T` is the type that `run` sees. */
export interface ArgumentSpec<T = unknown> {
  readonly description: string;
  readonly required: boolean;
  readonly variadic: boolean;
  readonly completes?: Completes;
  /** Text of the command line → value. @throws INPUT_INVALID */
  readonly parse?: (text: string) => T;
  /** Only for the compiler. */
  readonly carries?: { readonly value: T };
}

export interface OptionSpec<T = unknown> {
  /** As commander writes them: `--keep <rule>`, `-i, --input <name=value>`, `--dry-run`. */
  readonly flags: string;
  readonly description: string;
  /** May be given several times; `run` sees the list. */
  readonly repeatable: boolean;
  readonly choices?: readonly string[];
  readonly completes?: Completes;
  readonly parse?: (text: string) => unknown;
  /** Only for the compiler. */
  readonly carries?: { readonly value: T };
}

export interface Example {
  /** Without the leading `backplan`. */
  readonly line: string;
  readonly does: string;
}

/** Options that every command has. */
export interface Globals {
  /** State folder from `--state` or $BACKPLAN_STATE; undefined means the default of the XDG state home. */
  readonly state: string | undefined;
  readonly output: 'text' | 'json';
  readonly verbose: boolean;
  readonly quiet: boolean;
  /** Answers every question with yes. */
  readonly yes: boolean;
}

export interface CommandContext {
  readonly globals: Globals;
  readonly out: Output;
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /** Puts `handler` in front of cancelling: the next signal calls it instead. Returns its removal. */
  onInterrupt(handler: InterruptHandler): () => void;
  /** The composition root, loaded when first asked for. */
  app(): Promise<App>;
}

export type CommandGroup = 'Plans' | 'Runs' | 'At 3 a.m.' | 'Set-up';

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** More for `--help`, after the summary. */
  readonly description?: string;
  readonly group: CommandGroup;
  /** In order; the key is the name in `run` and, in capitals, in the usage line. */
  readonly arguments: Readonly<Record<string, ArgumentSpec>>;
  readonly options: Readonly<Record<string, OptionSpec>>;
  readonly examples: readonly Example[];
  /** The codes it can end with, besides 0 and those of a wrong usage. */
  readonly exits: readonly ExitCode[];
  run(values: Readonly<Record<string, unknown>>, context: CommandContext): Promise<ExitCode>;
}

type ValueOf<S> = S extends { readonly carries?: { readonly value: infer T } } ? T : never;
type Values<A, O> = { readonly [K in keyof A]: ValueOf<A[K]> } & { readonly [K in keyof O]: ValueOf<O[K]> };

/** Typed definition → plain Command: the values that `run` sees are inferred from arguments and options. */
export function defineCommand<
  const A extends Record<string, ArgumentSpec>,
  const O extends Record<string, OptionSpec>,
>(definition: {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly group: CommandGroup;
  readonly arguments: A;
  readonly options: O;
  readonly examples: readonly Example[];
  readonly exits: readonly ExitCode[];
  run(values: Values<A, O>, context: CommandContext): Promise<ExitCode>;
}): Command {
  return definition as unknown as Command;
}

/** A required argument. */
export function argument(description: string, completes?: Completes): ArgumentSpec<string> {
  return { description, required: true, variadic: false, ...(completes === undefined ? {} : { completes }) };
}

export function optionalArgument(
  description: string,
  completes?: Completes,
): ArgumentSpec<string | undefined> {
  return { description, required: false, variadic: false, ...(completes === undefined ? {} : { completes }) };
}

/** One or more. */
export function manyArguments(description: string, completes?: Completes): ArgumentSpec<readonly string[]> {
  return { description, required: true, variadic: true, ...(completes === undefined ? {} : { completes }) };
}

/** The plan file that most commands start with. */
export const planArgument: ArgumentSpec<string> = argument('plan file (YAML)', 'plan');

export function flag(flags: string, description: string): OptionSpec<boolean> {
  return { flags, description, repeatable: false };
}

interface OptionDetails {
  readonly choices?: readonly string[];
  readonly completes?: Completes;
}

export function option(
  flags: string,
  description: string,
  details: OptionDetails = {},
): OptionSpec<string | undefined> {
  return { flags, description, repeatable: false, ...details };
}

/** An option with a value that is turned into something else; `parse` throws INPUT_INVALID. */
export function parsedOption<T>(
  flags: string,
  description: string,
  parse: (text: string) => T,
  details: OptionDetails = {},
): OptionSpec<T | undefined> {
  return { flags, description, repeatable: false, parse, ...details };
}

/** May be given several times, and takes comma-separated lists as well. */
export function listOption(
  flags: string,
  description: string,
  details: OptionDetails = {},
): OptionSpec<readonly string[]> {
  return {
    flags,
    description,
    repeatable: true,
    parse: splitList,
    ...details,
  };
}

/** `User, "odd, name".T` → two names: a comma inside double quotes belongs to the name. */
export function splitList(text: string): string[] {
  return [...text.matchAll(/(?:"(?:[^"]|"")*"|[^,"])+/g)]
    .map(([item]) => item.trim())
    .filter((item) => item !== '');
}

/** May be given several times; each value is kept as it is. */
export function repeatedOption(
  flags: string,
  description: string,
  details: OptionDetails = {},
): OptionSpec<readonly string[]> {
  return { flags, description, repeatable: true, ...details };
}
