/**
 * Breaks a throw-away copy in ways that fit each check and looks whether the check goes red. A check that stays green
 * whatever happens says nothing when it passes.
 */
import type { BackupFacts, CheckClient, CheckKind, CheckResult, Severity } from '../checks/check-kind.ts';
import { choose, type Entry, toEntries } from '../checks/entries.ts';
import { errored } from '../checks/result.ts';
import { Session } from '../checks/session.ts';
import { toBackplanError } from '../errors.ts';
import type { CheckDefinition } from '../plan/model.ts';
import { type Client, connect } from '../postgres/client.ts';
import type { Connection } from '../postgres/connection.ts';
import { CANONICAL_SETTINGS } from '../postgres/snapshot.ts';
import type { Damage, Mutation } from './mutation.ts';
import { loosening } from './rows.ts';

/** `stayedGreen`: it was broken and the check passed. `notTried`: it could not be broken. */
export type ProofOutcome = 'proved' | 'stayedGreen' | 'noMutation' | 'notTried';

export interface CheckProof {
  readonly name: string;
  readonly kind: string;
  readonly severity: Severity;
  readonly outcome: ProofOutcome;
  /** What was broken when it went red; where it stayed green, the last that was tried. */
  readonly damage?: string;
  /** What the check said of it, or why nothing was tried. */
  readonly message: string;
  /** How many damages were done. */
  readonly tried: number;
}

export interface ProveOptions {
  /** A copy that nobody needs: it is locked and broken, though every damage is rolled back. Needs a superuser. */
  readonly connection: Connection;
  readonly definitions: readonly CheckDefinition[];
  readonly kinds: ReadonlyMap<string, CheckKind>;
  readonly mutations: ReadonlyMap<string, Mutation>;
  /** What the checks said of the copy as it is, by name; those that failed cannot be proved. */
  readonly before: ReadonlyMap<string, CheckResult>;
  readonly signal: AbortSignal;
  readonly applicationName: string;
  /** Milliseconds for checks that set no timeout. */
  readonly timeoutMs: number;
  readonly only: readonly string[];
  readonly skip: readonly string[];
  readonly baseDirectory?: string;
  readonly sandbox?: boolean;
  readonly backup?: BackupFacts;
  readonly onProof: (proof: CheckProof, done: number, total: number) => void;
}

/** @throws CONNECTION_FAILED, CANCELLED, INPUT_INVALID when `only` or `skip` name what does not exist */
export async function proveSuite(options: ProveOptions): Promise<CheckProof[]> {
  const { signal, connection, applicationName } = options;
  const entries = choose(
    toEntries(options.definitions, {
      kinds: options.kinds,
      timeoutMs: options.timeoutMs,
      tolerate: new Set(),
      ...(options.sandbox === undefined ? {} : { sandbox: options.sandbox }),
      ...(options.baseDirectory === undefined ? {} : { baseDirectory: options.baseDirectory }),
      ...(options.backup === undefined ? {} : { backup: options.backup }),
    }),
    options,
  );
  await using client = await connect(connection, { applicationName, signal });
  const proofs: CheckProof[] = [];
  for (const entry of entries) {
    signal.throwIfAborted();
    const { name, kind, severity } = entry;
    const proof = { name, kind, severity, ...(await proveOne(client, entry, options)) };
    proofs.push(proof);
    options.onProof(proof, proofs.length, entries.length);
  }
  return proofs;
}

type Said = Omit<CheckProof, 'name' | 'kind' | 'severity'>;

async function proveOne(client: Client, entry: Entry, options: ProveOptions): Promise<Said> {
  const before = options.before.get(entry.name);
  // What only warns can still fail.
  const green = before?.status === 'passed' || (before?.status === 'warned' && entry.severity === 'error');
  if (entry.check === undefined || before === undefined || !green) {
    const message =
      before === undefined ? (entry.error ?? 'it was not run') : `${before.status}: ${before.message}`;
    return { outcome: 'notTried', message: `it does not pass on the whole copy: ${message}`, tried: 0 };
  }
  const known = options.mutations.get(entry.kind);
  if (known === undefined) {
    return { outcome: 'noMutation', message: `no mutation is known for ${entry.kind}`, tried: 0 };
  }
  let damages: readonly Damage[];
  try {
    const looking = reader(client);
    damages = await known.damages(looking, entry.check.params, { ...entry.options, trustIndexes: true });
  } catch (error) {
    options.signal.throwIfAborted();
    return { outcome: 'notTried', message: toBackplanError(error).message, tried: 0 };
  }
  const passed = before.status === 'passed';
  let tried = 0;
  let proved: Said | undefined;
  let untried: Said | undefined;
  for (const aspect of new Set(damages.map((each) => each.aspect))) {
    const own = damages.filter((each) => each.aspect === aspect);
    const said = await proveAspect(client, entry, own, passed, options.signal);
    if (said.outcome === 'absent') continue;
    tried += said.tried;
    // One part that it does not see is enough.
    if (said.outcome === 'stayedGreen') return { ...said, tried };
    if (said.outcome === 'proved') proved ??= said;
    else untried ??= said;
  }
  const whole = untried ?? proved;
  if (whole !== undefined) return { ...whole, tried };
  const message = damages.length === 0 ? 'there is nothing that could be broken' : NOTHING;
  return { outcome: 'notTried', message, tried };
}

/** `absent`: there is nothing of it here, such as rows of an empty table. */
async function proveAspect(
  client: Client,
  entry: Entry,
  damages: readonly Damage[],
  passed: boolean,
  signal: AbortSignal,
): Promise<(Said & { readonly outcome: ProofOutcome }) | { readonly outcome: 'absent' }> {
  let tried = 0;
  let last: { damage: string; message: string } | undefined;
  let why: string | undefined;
  for (const damage of damages) {
    signal.throwIfAborted();
    const end = await examine(client, entry, damage);
    if (typeof end === 'string') {
      if (end !== NOTHING) why = `${damage.what}: ${end}`;
      continue;
    }
    tried++;
    last = { damage: damage.what, message: end.message };
    if (end.status === 'failed' || (end.status === 'warned' && passed))
      return { outcome: 'proved', ...last, tried };
  }
  if (last !== undefined) return { outcome: 'stayedGreen', ...last, tried };
  return why === undefined ? { outcome: 'absent' } : { outcome: 'notTried', message: why, tried };
}

function reader(client: Client): CheckClient {
  return {
    serverVersion: client.serverVersion,
    query: (sql, values) => client.query(sql, values, { single: true }),
  };
}

/** What the check says of the broken copy, or why it could not be broken. Afterwards it is whole again. */
async function examine(client: Client, entry: Entry, damage: Damage): Promise<CheckResult | string> {
  await client.query('BEGIN');
  try {
    // As for a replica: no trigger fires and no foreign key is looked at.
    await client.query('SET LOCAL session_replication_role = replica');
    const problem = await inflict(client, damage);
    if (problem !== undefined) return problem;
    await client.query(`SET LOCAL session_replication_role = origin; ${CANONICAL_SETTINGS}`);
    return await run(client, entry);
  } catch (error) {
    return toBackplanError(error).message;
  } finally {
    await client.query('ROLLBACK');
  }
}

/** In the same transaction, so that it sees what nobody else ever will. */
async function run(client: Client, entry: Entry): Promise<CheckResult> {
  const session = new Session(client, { begun: performance.now(), trustIndexes: true });
  for await (const [, result] of session.run({ entries: [entry] })) return result;
  return errored(entry, 'the connection to the copy was lost', 0);
}

/** Undefined when it is done; otherwise why not. Constraints that stand in the way of wrong rows are taken away. */
async function inflict(client: Client, damage: Damage): Promise<string | undefined> {
  const first = await behindSavepoint(client, () => execute(client, damage));
  if (first === undefined || damage.table === undefined || first === NOTHING) return first;
  for (const sql of await loosening(reader(client), damage.table)) {
    await behindSavepoint(client, async () => {
      await client.query(sql);
      return undefined;
    });
  }
  return await behindSavepoint(client, () => execute(client, damage));
}

const NOTHING = 'there are no such rows';

async function execute(client: Client, { sql }: Damage): Promise<string | undefined> {
  for (const statement of sql) {
    if (!/^(INSERT|UPDATE|DELETE) /.test(statement)) {
      await client.query(statement);
      continue;
    }
    const changed = await client.first<{ n: string }>(
      `WITH changed AS (${statement} RETURNING 1) SELECT pg_catalog.count(*) AS n FROM changed`,
    );
    if (Number(changed?.n) === 0) return NOTHING;
  }
  return undefined;
}

async function behindSavepoint(
  client: Client,
  work: () => Promise<string | undefined>,
): Promise<string | undefined> {
  await client.query('SAVEPOINT backplan_damage');
  try {
    const result = await work();
    await client.query('RELEASE SAVEPOINT backplan_damage');
    return result;
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT backplan_damage');
    return toBackplanError(error).message;
  }
}
