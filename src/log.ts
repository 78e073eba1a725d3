/** The only door to pino: a log of JSON lines, written so that a crash loses nothing that was said before it. */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
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

/** Makes a function that opens logs, which throws when the file cannot be opened. Loads pino once, so that opening needs no waiting. */
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
    const destination = lineWriter(options.destination, trouble);
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
      close: destination.close,
    };
  };
}

/**
 * Each line is with the kernel when the call returns, so kill -9 of this process loses none. pino's own destination
 * keeps what it could not write and tries for ever, which on a full disk stops the whole run; here that line is lost.
 */
function lineWriter(target: string | number, trouble: (error: unknown) => void) {
  if (typeof target === 'string') mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  const file = typeof target === 'number' ? target : openSync(target, 'a', 0o600);
  let open = true;
  let torn = false;
  return {
    write: (line: string) => {
      if (!open) return;
      try {
        // A line that broke off is ended first, so that the next one can be read.
        const bytes = Buffer.from(torn ? `\n${line}` : line);
        for (let done = 0; done < bytes.length; torn = done < bytes.length)
          done += writeSync(file, bytes, done);
      } catch (error) {
        trouble(error);
      }
    },
    close: () => {
      if (open && typeof target === 'string') closeSync(file);
      open = false;
    },
  };
}
