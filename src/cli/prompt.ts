/** Questions. Only on a terminal; without one the answer must already be on the command line. */
import { BackplanError } from '../errors.ts';
import type { CommandContext } from './command.ts';

/** A person can answer: questions go to stderr, so that stdout stays clean for pipes. */
export function isInteractive(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

export interface Question {
  /** What will happen, line by line: database, server, backup, its age, what will be lost. */
  readonly facts: readonly (readonly [label: string, value: string])[];
  /** Ends with a question mark. */
  readonly question: string;
  /** What the command would do, for the error without a terminal: `replaces the database crm`. */
  readonly action: string;
}

/**
 * Asks before something is replaced or deleted.
 * @throws CONFIRMATION_REQUIRED without a terminal and without `--yes`; CANCELLED when the answer is no
 */
export async function confirm(context: CommandContext, question: Question): Promise<void> {
  if (context.globals.yes) return;
  const { pairs } = await import('./table.ts');
  if (!isInteractive() || context.out.json) {
    throw new BackplanError('CONFIRMATION_REQUIRED', `this ${question.action}, and nobody is there to ask`, {
      hint: 'Look at what is listed below, then run the same command again with --yes.',
      detail: pairs(question.facts),
    });
  }
  process.stderr.write(`\n${pairs(question.facts, '  ')}\n\n`);
  const prompts = await import('@clack/prompts');
  // Some terminals (a container's, before its first resize) say that they have no width at all.
  if (process.stderr.columns === 0) process.stderr.columns = 80;
  const answer = await prompts.confirm({
    message: question.question,
    initialValue: false,
    output: process.stderr,
    signal: context.signal,
  });
  if (answer !== true) throw new BackplanError('CANCELLED', 'not confirmed; nothing was changed');
}

/**
 * Asks for a text. Only where `isInteractive()`.
 * @param check says what is wrong with an answer, or undefined
 * @throws CANCELLED
 */
export async function askText(
  context: CommandContext,
  question: {
    readonly message: string;
    readonly initial: string;
    readonly check?: (answer: string) => string | undefined;
  },
): Promise<string> {
  const prompts = await import('@clack/prompts');
  if (process.stderr.columns === 0) process.stderr.columns = 80;
  const answer = await prompts.text({
    message: question.message,
    initialValue: question.initial,
    output: process.stderr,
    signal: context.signal,
    validate: (value) => question.check?.(value ?? ''),
  });
  if (typeof answer !== 'string') throw new BackplanError('CANCELLED', 'not answered; nothing was written');
  return answer;
}

/**
 * Waits until Enter is pressed (on a terminal), a signal arrives or the time is over. Ending this wait is not
 * cancelling: what follows goes on as after a success.
 */
export async function waitForEnter(context: CommandContext, milliseconds: number | undefined): Promise<void> {
  const over = new AbortController();
  const end = () => over.abort();
  const removeInterrupt = context.onInterrupt(end);
  // Longer timers overflow and would fire at once; 24 days are as good as for ever here.
  const timer = milliseconds === undefined ? undefined : setTimeout(end, Math.min(milliseconds, 2 ** 31 - 1));
  const interactive = isInteractive();
  try {
    await new Promise<void>((resolve) => {
      over.signal.addEventListener('abort', () => resolve(), { once: true });
      context.signal.addEventListener('abort', () => resolve(), { once: true });
      if (context.signal.aborted) resolve();
      if (interactive) {
        process.stdin.once('data', () => resolve());
        process.stdin.resume();
      }
    });
  } finally {
    clearTimeout(timer);
    removeInterrupt();
    if (interactive) process.stdin.pause();
  }
}
