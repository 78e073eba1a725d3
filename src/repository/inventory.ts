/**
 * The inventory of a backup: every object of the source's schema with what can be lost of it, in a file of its own
 * beside the archive (role `inventory`). Attributes that are as PostgreSQL makes them by default are left out, and
 * long texts stand as hashes, so that a thousand tables stay small.
 */
import type { JsonSchema } from '../schema.ts';
import type { Backup } from './manifest.ts';
import type { Repository } from './repository.ts';

export const INVENTORY_FILE = 'inventory.json';

/** What is known of one object: readable where it is short, else `sha256:…`. */
export type InventoryAttributes = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface Inventory {
  readonly inventoryVersion: 1;
  /** `server_version_num` of the server that told it. */
  readonly serverVersionNum: number;
  /** Kind of object → table that it belongs to, or '' → name, quoted where PostgreSQL would → attributes. */
  readonly objects: Readonly<
    Record<string, Readonly<Record<string, Readonly<Record<string, InventoryAttributes>>>>>
  >;
}

const attributes = {
  type: 'object',
  additionalProperties: {
    anyOf: [{ type: ['string', 'number', 'boolean'] }, { type: 'array', items: { type: 'string' } }],
  },
} as const satisfies JsonSchema;

export const inventorySchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'backplan inventory',
  description:
    'The objects of the database that was dumped, in the snapshot of the dump: inventory.json of a backup.',
  type: 'object',
  required: ['inventoryVersion', 'serverVersionNum', 'objects'],
  additionalProperties: false,
  properties: {
    inventoryVersion: { const: 1 },
    serverVersionNum: { type: 'integer', examples: [150018] },
    objects: {
      type: 'object',
      description:
        'Kind of object → table that it belongs to (or an empty text) → name → attributes. Defaults are left out; long texts are sha256:….',
      examples: [{ column: { '"User"': { '"note"': { type: 'text', notNull: true } } } }],
      additionalProperties: {
        type: 'object',
        additionalProperties: { type: 'object', additionalProperties: attributes },
      },
    },
  },
} as const satisfies JsonSchema & { $schema: string };

/**
 * The inventory of a backup; undefined for backups without one and for those of a newer form.
 * @throws BACKUP_CORRUPT, STORAGE_FAILED
 */
export async function readInventory(
  repository: Repository,
  backup: Backup,
  signal: AbortSignal,
): Promise<Inventory | undefined> {
  const file = backup.manifest.files.find(({ role }) => role === 'inventory');
  if (file === undefined) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of (await repository.open(backup, file, { signal })) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
  }
  const inventory = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Inventory;
  return inventory.inventoryVersion === 1 ? inventory : undefined;
}
