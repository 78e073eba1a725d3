/**
 * The contract of a notifier kind: how a message reaches somebody.
 *
 * Promises of a kind: it tries once (whoever calls it tries again), ends soon after `signal` is aborted, reads a
 * bounded part of what the other side answers, follows no redirect, and never throws: everything that can happen is
 * an `Answer`. What it answers may quote the other side, but never its own settings.
 */
import type { NotifierEvent } from '../plan/model.ts';
import type { RunRecord } from '../runs/record.ts';
import type { Infer, JsonSchema } from '../schema.ts';

/** `started` is for dead-man's switches; `message` comes from a step, `test` from the command line. */
export type MessageEvent = NotifierEvent | 'started' | 'message' | 'test';

export type MessageLevel = 'info' | 'success' | 'warning' | 'error';

export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** What is told, for people and for programs. Plain JSON without secrets; `schemas/notification.schema.json`. */
export interface Message {
  readonly event: MessageEvent;
  readonly level: MessageLevel;
  /** One line. */
  readonly title: string;
  /** What happened, in lines. */
  readonly text: string;
  /** Which plan, job, step, …: for tables. */
  readonly facts: readonly Fact[];
  /** Command lines: what to type next. */
  readonly next: readonly string[];
  readonly at: string;
  readonly host: string;
  readonly plan: string;
  readonly planFile: string;
  readonly job: string | null;
  readonly database: string | null;
  /** What it is about; the end of a problem has the key of its beginning. */
  readonly key: string;
  /** How often the same was not told since the last time. */
  readonly held: number;
  readonly run: RunRecord | null;
}

/** What became of one try to deliver. */
export interface Answer {
  readonly delivered: boolean;
  /** What the other side said, or why it was not reached; one line. */
  readonly said: string;
  /** Trying again could help. */
  readonly again?: boolean;
  /** The other side asked to be left alone for so many milliseconds. */
  readonly afterMs?: number;
}

export interface NotifierKind {
  readonly kind: string;
  readonly summary: string;
  /** What may stand under the key of its name; `x-secret` masks. */
  readonly settings: JsonSchema;
  /** Set when `on` means nothing to it: what it is told of, in words. */
  readonly fixedEvents?: string;
  /** It wants these whatever `on` says. */
  readonly always?: readonly MessageEvent[];
  /** Every message counts: none is held back as a repetition or because of the limit. */
  readonly everyOne?: boolean;
  /** Meaning that a schema cannot say. Messages never repeat values, which are secret. Pure. */
  validate?(settings: unknown): readonly SettingsProblem[];
  /** Where a message goes, without secrets: a host, an address, a program. */
  where(settings: unknown): string;
  send(message: Message, settings: unknown, context: SendContext): Promise<Answer>;
}

export interface SettingsProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly hint?: string;
}

export interface SendContext {
  readonly signal: AbortSignal;
  /** Where relative paths start: the folder of the plan file. */
  readonly baseDirectory: string;
}

/** Typed definition → plain NotifierKind: `settings` inside is inferred from the schema. */
export function defineNotifier<const S extends JsonSchema>(definition: {
  readonly kind: string;
  readonly summary: string;
  readonly settings: S;
  readonly fixedEvents?: string;
  readonly always?: readonly MessageEvent[];
  readonly everyOne?: boolean;
  validate?(settings: Infer<S>): readonly SettingsProblem[];
  where(settings: Infer<S>): string;
  send(message: Message, settings: Infer<S>, context: SendContext): Promise<Answer>;
}): NotifierKind {
  return definition as unknown as NotifierKind;
}
