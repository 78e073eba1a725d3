/** What a message says besides what happened: names, ages, commands. Pure. */
import type { Plan } from '../plan/model.ts';
import { shellWord } from '../shell.ts';
import { formatAge } from '../units.ts';
import type { Fact, MessageLevel } from './notifier.ts';
import type { ProvenBackup } from './occurrence.ts';

/** What is known besides what happened. */
export interface Surroundings {
  readonly plan: Plan;
  readonly host: string;
  readonly now: Date;
  /** To be added to commands where the state is not where they look for it. */
  readonly stateOption: string;
  /** Of the databases that it is about; undefined: it could not be found out. */
  readonly proven: ReadonlyMap<string, ProvenBackup | null | undefined>;
  /** How the job went before. */
  readonly history?: {
    /** Runs that failed one after the other, this one left out. */
    readonly failures: number;
    /** ISO instant of the last good run. */
    readonly succeededAt?: string;
  };
  /** How often the same was not told, and how many other messages were left out. */
  readonly repeated: number;
  readonly dropped: number;
}

/** The part of a message that is about what happened. */
export interface Words {
  readonly level: MessageLevel;
  readonly title: string;
  readonly lines: readonly (string | undefined)[];
  readonly facts?: readonly Fact[];
  readonly next?: readonly string[];
}

export function age({ takenAt }: ProvenBackup, { now }: Surroundings): string {
  return formatAge(new Date(takenAt), now);
}

export function times(count: number): string {
  return count === 1 ? 'once' : count === 2 ? 'twice' : `${count} times`;
}

/** A command line about the plan. */
export function commandLine({ plan, stateOption }: Surroundings, command: string, argument?: string): string {
  return [
    `backplan ${command} ${shellWord(plan.file)}`,
    ...(argument === undefined ? [] : [shellWord(argument)]),
    ...(stateOption === '' ? [] : [stateOption]),
  ].join(' ');
}
