import { identifier } from '../postgres/client.ts';
import { USER_SCHEMA } from '../postgres/user-objects.ts';
import { type CheckClient, defineCheck } from './check-kind.ts';

const THINGS = ['subscriptions', 'cronJobs', 'foreignServers', 'eventTriggers'] as const;
type Thing = (typeof THINGS)[number];

interface Found {
  readonly thing: Thing;
  readonly name: string;
  readonly message: string;
  readonly mend: string;
}

/**
 * `isolation: {}`: the database reaches nobody by itself: no enabled subscription, no active job of pg_cron or
 * pgAgent, no foreign server, no enabled event trigger. For a restored copy that must not call production.
 */
export const isolation = defineCheck({
  kind: 'isolation',
  summary: 'A restored copy has no live subscription, scheduled job, foreign server or event trigger.',
  params: {
    type: 'object',
    description: 'For copies: what would act by itself or reach other servers. Needs no parameters.',
    additionalProperties: false,
    properties: {
      skip: {
        type: 'array',
        items: { enum: THINGS },
        uniqueItems: true,
        description: 'What not to look for.',
        examples: [['eventTriggers']],
      },
      ignore: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        uniqueItems: true,
        description: 'Names that are known and accepted.',
        examples: [['archive_server']],
      },
    },
    examples: [{}, { skip: ['eventTriggers'], ignore: ['archive_server'] }],
  },
  title: () => 'isolation',
  async run(client, { skip = [], ignore = [] }, { sample }) {
    const found: Found[] = [];
    for (const thing of THINGS) {
      if (!skip.includes(thing)) found.push(...(await LOOK[thing](client)));
    }
    const live = found.filter(({ name }) => !ignore.includes(name));
    if (live.length === 0) {
      const looked = THINGS.filter((thing) => !skip.includes(thing));
      return { outcome: 'passed', message: `nothing acts by itself (${looked.join(', ')})` };
    }
    return {
      outcome: 'failed',
      message: live.map(({ message }) => message).join('; '),
      hint: live.map(({ mend }) => mend).join(' '),
      count: live.length,
      samples: live.slice(0, sample).map(({ thing, name }) => ({ thing, name })),
    };
  },
});

const LOOK: Readonly<Record<Thing, (client: CheckClient) => Promise<Found[]>>> = {
  async subscriptions(client) {
    // subconninfo is not for everybody, the rest is.
    const rows = await client.query<{ name: string }>(
      `SELECT s.subname::pg_catalog.text AS name FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
       WHERE d.datname = pg_catalog.current_database() AND s.subenabled ORDER BY 1`,
    );
    return rows.map(({ name }) => ({
      thing: 'subscriptions',
      name,
      message: `subscription ${identifier(name)} is enabled`,
      mend: `ALTER SUBSCRIPTION ${identifier(name)} DISABLE;`,
    }));
  },
  async cronJobs(client) {
    const tables = await client.query<{ schema: string; name: string }>(
      `SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE (n.nspname, c.relname) IN (('cron', 'job'), ('pgagent', 'pga_job')) AND c.relkind = 'r'`,
    );
    const found: Found[] = [];
    for (const { schema, name: table } of tables) {
      const own = `${identifier(schema)}.${identifier(table)}`;
      const rows = await client.query<{ id: string; name: string }>(
        schema === 'cron'
          ? `SELECT j.jobid::pg_catalog.text AS id, coalesce(pg_catalog.to_jsonb(j) ->> 'jobname', j.jobid::pg_catalog.text) AS name FROM ${own} AS j WHERE j.active ORDER BY j.jobid`
          : `SELECT j.jobid::pg_catalog.text AS id, j.jobname AS name FROM ${own} AS j WHERE j.jobenabled ORDER BY j.jobid`,
      );
      found.push(
        ...rows.map(({ id, name }) => ({
          thing: 'cronJobs' as const,
          name,
          message: `job ${identifier(name)} of ${schema === 'cron' ? 'pg_cron' : 'pgAgent'} is active`,
          mend:
            schema === 'cron'
              ? `UPDATE ${own} SET active = false WHERE jobid = ${id};`
              : `UPDATE ${own} SET jobenabled = false WHERE jobid = ${id};`,
        })),
      );
    }
    return found;
  },
  async foreignServers(client) {
    const rows = await client.query<{ name: string; wrapper: string; tables: string }>(
      `SELECT s.srvname::pg_catalog.text AS name, w.fdwname::pg_catalog.text AS wrapper,
         (SELECT pg_catalog.count(*) FROM pg_catalog.pg_foreign_table t WHERE t.ftserver = s.oid) AS tables
       FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw ORDER BY 1`,
    );
    return rows.map(({ name, wrapper, tables }) => ({
      thing: 'foreignServers',
      name,
      message: `foreign server ${identifier(name)} (${wrapper}) with ${tables} table${tables === '1' ? '' : 's'}`,
      mend: `DROP SERVER ${identifier(name)} CASCADE;`,
    }));
  },
  async eventTriggers(client) {
    const rows = await client.query<{ name: string; event: string }>(
      `SELECT e.evtname::pg_catalog.text AS name, e.evtevent::pg_catalog.text AS event
       FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
       WHERE e.evtenabled <> 'D' AND ${USER_SCHEMA} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
         WHERE d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass AND d.objid = e.oid AND d.deptype = 'e') ORDER BY 1`,
    );
    return rows.map(({ name, event }) => ({
      thing: 'eventTriggers',
      name,
      message: `event trigger ${identifier(name)} fires on ${event}`,
      mend: `ALTER EVENT TRIGGER ${identifier(name)} DISABLE;`,
    }));
  },
};
