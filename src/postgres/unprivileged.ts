/** PostgreSQL refuses to run as root: which user runs it instead. */
import { readFile } from 'node:fs/promises';
import { BackplanError } from '../errors.ts';
import { runTool } from '../process.ts';

export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

/**
 * undefined unless this process is root. Otherwise the wanted user, or postgres, or nobody.
 * @throws SANDBOX_FAILED when there is none
 */
export async function unprivilegedAccount(wanted: string | undefined): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const names = wanted === undefined ? ['postgres', 'nobody'] : [wanted];
  for (const name of names) {
    const account = (await fromPasswd(name)) ?? (await fromSystem(name));
    if (account !== undefined && account.uid !== 0) return account;
  }
  throw new BackplanError(
    'SANDBOX_FAILED',
    `PostgreSQL does not run as root, and there is no user ${names.join(' or ')} to run it as`,
    { hint: 'Set settings.sandbox.user in the plan to an unprivileged user, or run backplan as one.' },
  );
}

async function fromPasswd(name: string): Promise<Account | undefined> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const entry = text.split('\n').find((line) => line.startsWith(`${name}:`));
  const [, , uid, gid] = entry?.split(':') ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid), name };
}

/** Users that come from a directory service. */
async function fromSystem(name: string): Promise<Account | undefined> {
  const ask = async (flag: string) => {
    const { stdout } = await runTool({
      command: 'id',
      args: [flag, '--', name],
      signal: AbortSignal.timeout(5000),
    });
    return Number(stdout.trim());
  };
  try {
    return { uid: await ask('-u'), gid: await ask('-g'), name };
  } catch {
    return undefined;
  }
}
