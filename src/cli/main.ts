/** The command line: arguments → command → exit code. */

import { BackplanError, EXIT, type ExitCode, toBackplanError } from '../errors.ts';
import { productVersion } from '../runs/version.ts';
import type { CommandContext } from './command.ts';
import { loadCommands } from './index.ts';
import { makeOutput, type OutputOptions, reportError } from './output.ts';
import { listenForSignals, tolerateClosedPipes } from './signals.ts';

/** Called by bin/backplan.js. Sets the exit code and lets the process end by itself. */
export async function start(args: readonly string[] = process.argv.slice(2)): Promise<void> {
  tolerateClosedPipes();
  process.exitCode = await main(args);
  // Everything is written and closed by now. Should something still hold the process, it must not hang a cron job.
  setTimeout(() => process.exit(), 2000).unref();
}

async function main(args: readonly string[]): Promise<ExitCode> {
  let options = sniffOutput(args);
  try {
    // Scripts ask for the version often, and it needs nothing else.
    if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
      process.stdout.write(`${productVersion()}\n`);
      return EXIT.success;
    }
    if (args[0] === 'complete' && args[1] === '--') {
      const { answerCompletion } = await import('./complete.ts');
      process.stdout.write(await answerCompletion(args.slice(2)));
      return EXIT.success;
    }
    const [{ makeProgram, parseLine }, commands] = await Promise.all([
      import('./program.ts'),
      loadCommands(commandWord(args)),
    ]);
    let run: (() => Promise<ExitCode>) | undefined;
    const program = makeProgram(commands, productVersion(), ({ command, values, globals, noColor }) => {
      options = { json: globals.output === 'json', quiet: globals.quiet, noColor };
      run = () => command.run(values, makeContext(globals, options));
    });
    parseLine(program, args);
    return run === undefined ? EXIT.success : await run();
  } catch (thrown) {
    const error = toBackplanError(thrown);
    reportError(error.code === 'INTERNAL' ? withReportHint(error) : error, options);
    return error.exitCode;
  }
}

function makeContext(globals: CommandContext['globals'], options: OutputOptions): CommandContext {
  const out = makeOutput(options);
  const interruption = listenForSignals((text) => process.stderr.write(`${text}\n`));
  return {
    globals,
    out,
    signal: interruption.signal,
    onInterrupt: interruption.onInterrupt,
    app: async () => (await import('../app.ts')).createApp(),
  };
}

/** The first word that is neither an option nor the value of one. */
function commandWord(args: readonly string[]): string | undefined {
  return args.find(
    (word, index) => !word.startsWith('-') && !['--state', '--output', '-o'].includes(args[index - 1] ?? ''),
  );
}

/** A usage error comes before the options are parsed, but its form was asked for all the same. */
function sniffOutput(args: readonly string[]): OutputOptions {
  const json = args.some(
    (word, index) =>
      word === '--output=json' ||
      word === '-ojson' ||
      ((word === '--output' || word === '-o') && args[index + 1] === 'json'),
  );
  return { json, quiet: args.includes('--quiet'), noColor: args.includes('--no-color') };
}

function withReportHint(error: BackplanError): BackplanError {
  return new BackplanError('INTERNAL', `unexpected: ${error.message}`, {
    cause: error,
    hint: 'This is a fault in backplan itself. BACKPLAN_DEBUG=1 shows where; please report it.',
  });
}
