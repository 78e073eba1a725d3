/** Names of runs and of their files. */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { compactInstant } from '../units.ts';

/** Without vowels (no words) and without letters that look like digits. */
const LETTERS = 'bcdfghjkmnpqrstvwxz23456789';

/** `20261124T052358Z-x7k2mq`: sorts by time; the tail alone names a run well enough for a person. */
export function newRunId(now: Date = new Date()): string {
  const tail = Array.from({ length: 6 }, () => LETTERS[randomInt(LETTERS.length)]).join('');
  return `${compactInstant(now)}-${tail}`;
}

/** The part after the time, for names of databases and folders that a run makes. */
export function runTail(id: string): string {
  return id.slice(id.lastIndexOf('-') + 1);
}

/** `<state>/journal.db`. */
export function journalFile(stateDirectory: string): string {
  return join(stateDirectory, 'journal.db');
}

/** `<state>/locks.db`: locks on databases, for runs that share this state folder. */
export function lockFile(stateDirectory: string): string {
  return join(stateDirectory, 'locks.db');
}

/** `<state>/logs/<plan>/<run>.jsonl`. A plan's name is free text, so it is reduced to a safe file name. */
export function runLogFile(stateDirectory: string, plan: string, run: string): string {
  return join(stateDirectory, 'logs', safeName(plan), `${safeName(run)}.jsonl`);
}

function safeName(text: string): string {
  return (
    text
      .replace(/[^A-Za-z0-9_.-]/g, '_')
      .replace(/^\.+/, '_')
      .slice(0, 100) || '_'
  );
}
