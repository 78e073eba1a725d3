/** Commands → parser: arguments, options, help and usage errors are made from the data that each command carries. */
import { Argument, Command as Commander, CommanderError, Help, Option } from 'commander';
import { BackplanError, EXIT, type ExitCode } from '../errors.ts';
import { didYouMean } from '../suggest.ts';
import type { Command, CommandGroup, Globals, OptionSpec } from './command.ts';

export interface Invocation {
  readonly command: Command;
  readonly values: Readonly<Record<string, unknown>>;
  readonly globals: Globals;
  readonly noColor: boolean;
}

const GROUPS: readonly CommandGroup[] = ['Plans', 'Runs', 'At 3 a.m.', 'Set-up'];

const GLOBAL_OPTIONS_HEADING = 'Options for every command:';

const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  [EXIT.success]: 'success',
  [EXIT.stepFailed]: 'a step failed',
  [EXIT.invalidPlan]: 'invalid plan or wrong usage; nothing was run',
  [EXIT.checksFailed]: 'checks failed, and so nothing was promoted',
  [EXIT.locked]: 'locked by another run',
  [EXIT.inconclusive]: 'could not verify: a check errored, timed out or had nothing to look at',
  [EXIT.environment]: 'environment: a missing tool, extension, role, version or permission',
  [EXIT.interrupted]: 'interrupted or cancelled',
};

/** `at` is called with what was asked for; help and version print and end without it. */
export function makeProgram(
  commands: readonly Command[],
  version: string,
  at: (invocation: Invocation) => void,
): Commander {
  const program = new Commander('backplan')
    .description(
      'Runs backup plans for PostgreSQL: backup, restore, verification, retention. A backup counts only when it has been restored and checked.',
    )
    .usage('COMMAND [options]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .addHelpCommand(
      new Commander('help').argument('[COMMAND]').description('show help of a command').helpGroup('Set-up:'),
    )
    .exitOverride()
    .configureHelp({
      showGlobalOptions: true,
      sortSubcommands: false,
      commandUsage: usageOf,
      subcommandTerm: termOf,
      formatHelp,
    })
    // Usage errors are thrown and reported like every other error.
    .configureOutput({ writeErr: () => {}, outputError: () => {} });
  addGlobalOptions(program);
  for (const group of GROUPS) {
    program.commandsGroup(`${group}:`);
    for (const command of commands.filter((each) => each.group === group)) addCommand(program, command, at);
  }
  program.addHelpText('after', rootHelp());
  return program;
}

/** Parses a command line. @throws BackplanError USAGE; returns without calling `at` for help and version */
export function parseLine(program: Commander, args: readonly string[]): void {
  if (args.length === 0) {
    program.outputHelp();
    throw new BackplanError('USAGE', 'no command was given', {
      hint: 'Begin with `backplan validate PLAN` or `backplan doctor PLAN`.',
    });
  }
  try {
    program.parse([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    throw error.code === 'commander.help' ? unknownTopic(program, args) : usageError(error, args);
  }
}

function addGlobalOptions(program: Commander): void {
  program
    .optionsGroup(GLOBAL_OPTIONS_HEADING)
    .addOption(
      new Option(
        '--state <folder>',
        'folder of the run journal and logs (default: $BACKPLAN_STATE, else backplan in the XDG state home)',
      ),
    )
    .addOption(
      new Option('-o, --output <form>', 'text for people, json for programs')
        .choices(['text', 'json'])
        .default('text'),
    )
    .addOption(new Option('-y, --yes', 'answer every question with yes'))
    .addOption(new Option('-v, --verbose', 'tell more').conflicts('quiet'))
    .addOption(new Option('-q, --quiet', 'tell only results and errors'))
    .addOption(new Option('--no-color', 'no colours (also: NO_COLOR=1; FORCE_COLOR=1 for the contrary)'));
}

function addCommand(program: Commander, command: Command, at: (invocation: Invocation) => void): void {
  const sub = program
    .command(command.name)
    .summary(command.summary)
    .description(
      command.description === undefined ? command.summary : `${command.summary}\n\n${command.description}`,
    );
  const names = Object.keys(command.arguments);
  for (const [name, spec] of Object.entries(command.arguments)) {
    const text = `${screaming(name)}${spec.variadic ? '...' : ''}`;
    const argument = new Argument(spec.required ? `<${text}>` : `[${text}]`, spec.description);
    if (spec.completes !== undefined && isChoices(spec.completes)) argument.choices(spec.completes);
    sub.addArgument(argument);
  }
  for (const [name, spec] of Object.entries(command.options)) sub.addOption(makeOption(name, spec));
  sub.addHelpText('after', commandHelp(command));
  sub.action((...received: unknown[]) => {
    const options = sub.opts() as Record<string, unknown>;
    const values: Record<string, unknown> = {};
    for (const [index, name] of names.entries()) values[name] = received[index];
    for (const [name, spec] of Object.entries(command.options)) {
      const given = options[attributeOf(spec)];
      values[name] = given ?? (spec.repeatable ? [] : isFlag(spec) ? false : undefined);
    }
    const globals = program.opts() as Record<string, unknown>;
    at({
      command,
      values,
      noColor: globals.color === false,
      globals: {
        state: (globals.state as string | undefined) ?? (process.env.BACKPLAN_STATE || undefined),
        output: globals.output as Globals['output'],
        verbose: globals.verbose === true,
        quiet: globals.quiet === true,
        yes: globals.yes === true,
      },
    });
  });
}

function makeOption(name: string, spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.description);
  if (spec.choices !== undefined) option.choices(spec.choices);
  const { parse } = spec;
  if (spec.repeatable) {
    option.argParser((text: string, before: unknown) => [
      ...(Array.isArray(before) ? before : []),
      ...(parse === undefined ? [text] : (parse(text) as unknown[])),
    ]);
  } else if (parse !== undefined) {
    option.argParser((text: string) => {
      try {
        return parse(text);
      } catch (error) {
        if (!(error instanceof BackplanError)) throw error;
        throw new BackplanError('USAGE', `option ${spec.flags}: ${error.message}`, {
          ...(error.hint === undefined ? {} : { hint: error.hint }),
          cause: error,
        });
      }
    });
  }
  if (option.attributeName() === '') throw new BackplanError('INTERNAL', `option ${name} has no long name`);
  return option;
}

function attributeOf(spec: OptionSpec): string {
  return new Option(spec.flags).attributeName();
}

function isFlag(spec: OptionSpec): boolean {
  return !/[<[]/.test(spec.flags);
}

export function isChoices(completes: unknown): completes is readonly string[] {
  return Array.isArray(completes);
}

/** `tenantLicense` → `TENANT_LICENSE`: arguments stand in capitals in usage lines. */
function screaming(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** `backplan run PLAN JOB [options]`. */
function usageOf(command: Commander): string {
  return command.parent === null ? `backplan ${command.usage()}` : `backplan ${termOf(command)} [options]`;
}

/** `run PLAN JOB`: required arguments bare, optional ones in brackets. */
function termOf(command: Commander): string {
  const words = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '…' : ''}`;
    return argument.required ? name : `[${name}]`;
  });
  return [command.name(), ...words].join(' ');
}

/** The commands come before the options: they are what is looked for. */
function formatHelp(command: Commander, helper: Help): string {
  const text = Help.prototype.formatHelp
    .call(helper, command, helper)
    .replace('\nGlobal Options:\n', `\n${GLOBAL_OPTIONS_HEADING}\n`);
  if (command.parent !== null) return text;
  const isOptions = (section: string) => section.startsWith('Options');
  const sections = text.trimEnd().split('\n\n');
  return `${[...sections.filter((each) => !isOptions(each)), ...sections.filter(isOptions)].join('\n\n')}\n`;
}

function commandHelp(command: Command): string {
  const width = Math.max(...command.examples.map(({ line }) => line.length));
  const examples = command.examples.map(({ line, does }) => `  backplan ${line.padEnd(width)}  ${does}`);
  const codes = ([EXIT.success, EXIT.invalidPlan, ...command.exits] as ExitCode[])
    .filter((code, index, all) => all.indexOf(code) === index)
    .sort((a, b) => a - b);
  return ['', 'Examples:', ...examples, '', ...exitHelp(codes)].join('\n');
}

function exitHelp(codes: readonly ExitCode[]): string[] {
  return ['Exit codes:', ...codes.map((code) => `  ${String(code).padStart(3)}  ${EXIT_MEANINGS[code]}`)];
}

function rootHelp(): string {
  const examples = [
    ['validate plans/crm.yaml', 'is the plan right?'],
    ['doctor plans/crm.yaml', 'would it work on this machine?'],
    ['run plans/crm.yaml nightly', 'run one job now'],
    ['backups plans/crm.yaml', 'what is there, and what was proven'],
    ['restore plans/crm.yaml', 'look at the newest proven backup, harming nothing'],
    ['restore plans/crm.yaml --promote', 'bring the database back'],
  ] as const;
  const width = Math.max(...examples.map(([line]) => line.length));
  return [
    '',
    'Examples:',
    ...examples.map(([line, does]) => `  backplan ${line.padEnd(width)}  ${does}`),
    '',
    ...exitHelp(Object.values(EXIT)),
    '',
    '`backplan help COMMAND` shows arguments, options and examples of one.',
  ].join('\n');
}

/** `help NOPE`. */
function unknownTopic(program: Commander, args: readonly string[]): BackplanError {
  const topic = args.filter((word) => !word.startsWith('-'))[1] ?? '';
  const names = program.commands.map((command) => command.name());
  return new BackplanError('USAGE', `unknown command "${topic}"${didYouMean(topic, names)}`, {
    hint: '`backplan --help` lists the commands.',
  });
}

/** Commander's words → one sentence and a hint. */
function usageError(error: CommanderError, args: readonly string[]): BackplanError {
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = /\(Did you mean (.*)\?\)/.exec(rest.join(' '))?.[1];
  const known = args.find((word) => !word.startsWith('-'));
  const help =
    error.code === 'commander.unknownCommand' || known === undefined
      ? '`backplan --help` lists the commands.'
      : `\`backplan ${known} --help\` shows how it is used.`;
  return new BackplanError('USAGE', first.replaceAll("'", '"').replace(/\.$/, ''), {
    hint: suggestion === undefined ? help : `Did you mean ${suggestion}? ${help}`,
    cause: error,
  });
}
