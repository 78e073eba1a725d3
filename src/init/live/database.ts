/** What belongs to a live database as a whole: its settings, and what catalogHealth says of it. */
import { catalogHealth } from '../../checks/catalog-health.ts';
import { HEALTH_ITEM_NAMES, HEALTH_ITEMS } from '../../checks/catalog-health-items.ts';
import type { Client } from '../../postgres/client.ts';

export interface LiveSetting {
  /** null: for everybody. */
  readonly role: string | null;
  readonly name: string;
  readonly value: string;
}

export interface LiveDatabase {
  /** Settings that the server itself knows; those of applications may be secrets and are not shown. */
  readonly settings: readonly LiveSetting[];
  /** What catalogHealth finds already, by its items, those that it only warns of left out. */
  readonly ailing: readonly string[];
  /** Items of catalogHealth that this role may not look at. */
  readonly unseen: readonly string[];
}

const SETTINGS = `
SELECT r.rolname::pg_catalog.text AS role, pg_catalog.split_part(c.entry, '=', 1) AS name,
  pg_catalog.substr(c.entry, pg_catalog.strpos(c.entry, '=') + 1) AS value
FROM pg_catalog.pg_db_role_setting s
JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, pg_catalog.unnest(s.setconfig) AS c(entry)
WHERE pg_catalog.strpos(pg_catalog.split_part(c.entry, '=', 1), '.') = 0
ORDER BY r.rolname NULLS FIRST, 2`;

export async function loadDatabase(client: Client): Promise<LiveDatabase> {
  return {
    settings: await client.query<LiveSetting & Record<string, unknown>>(SETTINGS),
    ...(await findAilments(client)),
  };
}

async function findAilments(client: Client): Promise<Pick<LiveDatabase, 'ailing' | 'unseen'>> {
  const ailing: string[] = [];
  const unseen: string[] = [];
  for (const item of HEALTH_ITEM_NAMES) {
    if (HEALTH_ITEMS.find((each) => each.item === item)?.severity === 'warn') continue;
    const skip = HEALTH_ITEM_NAMES.filter((each) => each !== item);
    await client.query('BEGIN READ ONLY');
    try {
      const options = { sample: 0, rows: false, trustIndexes: true };
      const { outcome } = await catalogHealth.run(client, { skip, warn: [] }, options);
      if (outcome === 'failed') ailing.push(item);
    } catch {
      unseen.push(item);
    } finally {
      await client.query('ROLLBACK');
    }
  }
  return { ailing, unseen };
}
