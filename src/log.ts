/** The only door to pino: a log of JSON lines, written so that a crash loses nothing that was said before it. */
import { toBackplanError } from './errors.ts';
import type { Masker } from './secret.ts';

export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: LogFields): void;
  close(): void;
}

export interface LogOptions {
  /** A path, or a file descriptor (1 for stdout). */
  readonly destination: string | number;
  /** On every line. */
  readonly base?: LogFields;
  /** Default debug: everything. */
  readonly level?: 'debug' | 'info' | 'warn' | 'error';
  readonly masker?: Masker;
  /** Told once when a line cannot be written; logging never throws. */
  readonly onProblem?: (message: string) => void;
}

/** Makes a function that opens logs. Loads pino once, so that opening one later needs no waiting. */
export async function loadLog(): Promise<(options: LogOptions) => Log> {
  const { pino } = await import('pino');
  return (options) => {
    let troubled = false;
    const trouble = (error: unknown) => {
      if (troubled) return;
      troubled = true;
      options.onProblem?.(
        `the log ${String(options.destination)} cannot be written: ${toBackplanError(error).message}`,
      );
    };
    const destination = pino.destination({
      dest: options.destination,
      append: true,
      mkdir: typeof options.destination === 'string',
      // Each line is with the kernel when the call returns: kill -9 of this process loses none.
      sync: true,
      mode: 0o600,
    });
    destination.on('error', trouble);
    const logger = pino(
      {
        level: options.level ?? 'debug',
        base: options.base ?? {},
        messageKey: 'message',
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      destination,
    );
    const { masker } = options;
    return {
      log: (level, message, fields = {}) => {
        try {
          const plain = masker === undefined ? fields : masker.maskDeep(fields);
          logger[level](plain, masker === undefined ? message : masker.mask(message));
        } catch (error) {
          trouble(error);
        }
      },
      close: () => {
        try {
          destination.flushSync();
          destination.end();
        } catch (error) {
          trouble(error);
        }
      },
    };
  };
}
