/**
 * The list of commands, in the order of `--help`. Each is loaded only when it is needed, so that a command pays for
 * its own imports and for no other's.
 */
import type { Command } from './command.ts';

export const commands = {
  init: async () => (await import('./init.ts')).init,
  validate: async () => (await import('./validate.ts')).validate,
  explain: async () => (await import('./explain.ts')).explain,
  run: async () => (await import('./run.ts')).run,
  daemon: async () => (await import('./daemon.ts')).daemon,
  suite: async () => (await import('./suite.ts')).suite,
  status: async () => (await import('./status.ts')).status,
  backups: async () => (await import('./backups.ts')).backups,
  runs: async () => (await import('./runs.ts')).runs,
  backup: async () => (await import('./backup.ts')).backup,
  restore: async () => (await import('./restore.ts')).restore,
  promote: async () => (await import('./promote.ts')).promote,
  rollback: async () => (await import('./rollback.ts')).rollback,
  check: async () => (await import('./check.ts')).check,
  prove: async () => (await import('./prove.ts')).prove,
  recover: async () => (await import('./recover.ts')).recover,
  repair: async () => (await import('./repair.ts')).repair,
  verify: async () => (await import('./verify.ts')).verify,
  prune: async () => (await import('./prune.ts')).prune,
  drop: async () => (await import('./drop.ts')).drop,
  notify: async () => (await import('./notify.ts')).notify,
  doctor: async () => (await import('./doctor.ts')).doctor,
  schema: async () => (await import('./schema.ts')).schema,
  completion: async () => (await import('./completion.ts')).completion,
} as const satisfies Readonly<Record<string, () => Promise<Command>>>;

/** Only the named command, or all of them where the name is not one. */
export async function loadCommands(name?: string): Promise<readonly Command[]> {
  const loaders: Readonly<Record<string, () => Promise<Command>>> = commands;
  const one = name !== undefined && Object.hasOwn(loaders, name) ? loaders[name] : undefined;
  return await Promise.all((one === undefined ? Object.values(loaders) : [one]).map((load) => load()));
}
