/** Are the client tools and, for sandboxes, the server programs there, in versions that fit? */
import { toBackplanError } from '../errors.ts';
import { findTools, major, versionText } from '../postgres/tools.ts';
import { type Finding, type Probe, type ProbeContext, reporter } from './probe.ts';

const CLIENT = ['pg_dump', 'pg_restore'];
const SERVER = ['initdb', 'pg_ctl', 'postgres'];

export const tools: Probe = {
  area: 'tools',
  async *run(context) {
    const servers = new Map([...context.facts.values()].map((each) => [major(each.serverVersion), each]));
    if (servers.size === 0) yield* await programs(context, 'client', CLIENT, undefined, 'problem');
    for (const { serverVersion } of servers.values()) {
      yield* await programs(context, 'client', CLIENT, serverVersion, 'problem');
    }
    const newest = Math.max(0, ...[...context.facts.values()].map((each) => each.serverVersion));
    const wanted = usesSandbox(context) ? 'problem' : 'warning';
    yield* await programs(context, 'sandbox', SERVER, newest === 0 ? undefined : newest, wanted);
  },
};

async function programs(
  context: ProbeContext,
  subject: string,
  need: readonly string[],
  serverVersion: number | undefined,
  missing: 'warning' | 'problem',
): Promise<Finding[]> {
  const say = reporter('tools', subject);
  const purpose = serverVersion === undefined ? '' : ` for PostgreSQL ${major(serverVersion)}`;
  try {
    const found = await findTools(serverVersion, {
      binDirectories: context.plan.settings.binDirectories,
      need,
      ...(serverVersion === undefined ? {} : { prefer: major(serverVersion) }),
    });
    return [say.ok(`${need.join(', ')} ${versionText(found.versionNum)}${purpose} in ${found.directory}`)];
  } catch (error) {
    const { message, hint } = toBackplanError(error);
    return [say[missing](`${message}${purpose}`, hint)];
  }
}

export function usesSandbox({ plan }: ProbeContext): boolean {
  return Object.values(plan.jobs).some((job) =>
    Object.values(job.steps).some((step) => step.uses === 'restore' && step.with.into === 'sandbox'),
  );
}
