import { defineCheck } from './check-kind.ts';

/**
 * `checksums: {}`: the server checks its pages, and has found none that is damaged. In a sandbox it is skipped: how
 * that server was made says nothing of the one that matters, and its pages are all new.
 */
export const checksums = defineCheck({
  kind: 'checksums',
  summary: 'Page checksums are on, and the server has met no page that fails its own.',
  params: {
    type: 'object',
    description: 'No parameters.',
    additionalProperties: false,
    properties: {},
    examples: [{}],
  },
  title: () => 'page checksums',
  async run(client, _params, { sandbox }) {
    if (sandbox === true) {
      return {
        outcome: 'skipped',
        message: 'does not apply to a sandbox: its pages were all written just now, by a server of its own',
        hint: 'Run it on production: backplan check PLAN.',
      };
    }
    // Source: https://www.postgresql.org/docs/current/monitoring-stats.html (pg_stat_database)
    const [row] = await client.query<{ enabled: string; failures: string | null; last: string | null }>(
      `SELECT pg_catalog.current_setting('data_checksums') AS enabled,
         pg_catalog.sum(checksum_failures)::pg_catalog.text AS failures,
         pg_catalog.max(checksum_last_failure)::pg_catalog.text AS last
       FROM pg_catalog.pg_stat_database
       WHERE datid = 0 OR datname = pg_catalog.current_database()`,
    );
    if (row?.enabled !== 'on') {
      return {
        outcome: 'failed',
        message: 'page checksums are off: a damaged page would be read as if it were whole',
        hint: 'Stop the server and run pg_checksums --enable, or make new clusters with initdb --data-checksums.',
        count: 1,
      };
    }
    const failures = Number(row.failures ?? 0);
    return failures > 0
      ? {
          outcome: 'failed',
          message: `${failures} page${failures === 1 ? '' : 's'} failed the checksum, the last at ${row.last}`,
          hint: 'The server log names the files. Save what is there, then restore; pg_stat_reset() forgets the count.',
          count: failures,
        }
      : {
          outcome: 'passed',
          message: 'page checksums are on, and no page has failed since statistics began',
        };
  },
});
