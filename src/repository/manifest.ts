/**
 * The manifest: the JSON that makes a backup self-describing. It is written last; a backup without one does not
 * exist. It is never changed afterwards: what is later shown of the backup is kept beside it as proofs.
 */
import type { Infer, JsonSchema } from '../schema.ts';

const instant = { type: 'string', format: 'date-time' } as const;
const bytes = { type: 'integer', minimum: 0 } as const;
const sha256 = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const;

export const fileSchema = {
  type: 'object',
  description: 'One stored file.',
  required: ['path', 'role', 'size', 'sha256'],
  additionalProperties: false,
  properties: {
    path: {
      type: 'string',
      description: 'Relative to the folder of the backup.',
      examples: ['archive.dump.zst'],
    },
    role: {
      enum: ['archive', 'globals', 'database', 'inventory'],
      description:
        'archive: what pg_dump wrote. globals: roles and memberships as SQL. database: database-level state as JSON. inventory: the objects of the schema as JSON.',
    },
    size: { ...bytes, description: 'Bytes as stored.' },
    sha256: { ...sha256, description: 'SHA-256 of the bytes as stored.' },
    plain: {
      type: 'object',
      description: 'The same file before compression; absent where it is stored as it is.',
      required: ['size', 'sha256'],
      additionalProperties: false,
      properties: { size: bytes, sha256 },
    },
  },
} as const satisfies JsonSchema;

export const tableFingerprintSchema = {
  type: 'object',
  required: ['schema', 'table', 'rows'],
  additionalProperties: false,
  properties: {
    schema: { type: 'string' },
    table: { type: 'string' },
    rows: { type: 'integer', minimum: 0, description: 'count(*) in the snapshot of the dump.' },
    seed: {
      type: 'array',
      items: { type: 'string' },
      description:
        'The columns that seed the lanes: the primary key. Empty where there is none; then the lane "" of whole rows stands in.',
    },
    tenants: {
      type: 'object',
      description: 'Rows per tenant, where the plan names the column that tells tenants apart.',
      required: ['column', 'rows'],
      additionalProperties: false,
      properties: {
        column: { type: 'string' },
        rows: {
          type: 'object',
          description: 'Tenant, as text → rows.',
          additionalProperties: { type: 'integer' },
        },
      },
    },
    lanes: {
      type: 'object',
      description: 'Column → sum of hashes of its values, seeded by the primary key; exact decimal text.',
      additionalProperties: { type: 'string' },
    },
  },
} as const satisfies JsonSchema;

export const manifestSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'backplan manifest',
  description: 'Describes one backup completely: no other state is needed to list, verify or restore it.',
  type: 'object',
  required: [
    'manifestVersion',
    'id',
    'plan',
    'job',
    'run',
    'database',
    'label',
    'source',
    'tools',
    'startedAt',
    'endedAt',
    'durationMs',
    'method',
    'selection',
    'compression',
    'files',
    'archiveEntries',
    'fingerprint',
  ],
  additionalProperties: false,
  properties: {
    manifestVersion: { const: 1 },
    id: {
      type: 'string',
      examples: ['crm-20261124T020000Z-x7k2'],
      description: 'Unique; database, start in UTC, four random letters.',
    },
    plan: { type: 'string', description: 'Name of the plan that made it.' },
    job: { type: 'string' },
    run: { type: 'string', description: 'Id of the run that made it.' },
    database: { type: 'string', description: 'Key of the database in the plan.' },
    label: { type: ['string', 'null'], description: 'Free text to find it by, for example before-restore.' },
    source: {
      type: 'object',
      description: 'The server and database that were dumped.',
      required: [
        'url',
        'name',
        'serverVersion',
        'serverVersionNum',
        'systemIdentifier',
        'size',
        'encoding',
        'collate',
        'ctype',
        'localeProvider',
        'locale',
        'collationVersion',
        'owner',
        'extensions',
        'schemaVersion',
        'snapshot',
        'lsn',
        'inRecovery',
      ],
      additionalProperties: false,
      properties: {
        url: { type: 'string', description: 'Masked.' },
        name: { type: 'string', description: 'Name of the database on the server.' },
        serverVersion: { type: 'string', examples: ['15.18'] },
        serverVersionNum: { type: 'integer', examples: [150018] },
        systemIdentifier: {
          type: ['string', 'null'],
          description: 'pg_control_system(); null where not allowed.',
        },
        size: { ...bytes, description: 'pg_database_size(), bytes.' },
        encoding: { type: 'string', examples: ['UTF8'] },
        collate: { type: 'string' },
        ctype: { type: 'string' },
        localeProvider: { enum: ['libc', 'icu', 'builtin'] },
        locale: { type: ['string', 'null'], description: 'ICU or builtin locale.' },
        collationVersion: { type: ['string', 'null'] },
        owner: { type: 'string' },
        extensions: {
          type: 'array',
          items: {
            type: 'object',
            required: ['name', 'version', 'schema'],
            additionalProperties: false,
            properties: { name: { type: 'string' }, version: { type: 'string' }, schema: { type: 'string' } },
          },
        },
        schemaVersion: {
          type: ['string', 'null'],
          description: "What the migration tool's table says, for example the newest Prisma migration.",
        },
        snapshot: { type: 'string', description: 'pg_export_snapshot() that dump and fingerprint shared.' },
        lsn: { type: ['string', 'null'], description: 'WAL position of the snapshot.' },
        inRecovery: { type: 'boolean' },
      },
    },
    tools: {
      type: 'object',
      required: ['backplan', 'pgDump'],
      additionalProperties: false,
      properties: { backplan: { type: 'string' }, pgDump: { type: 'string', examples: ['15.18'] } },
    },
    startedAt: instant,
    endedAt: instant,
    durationMs: { type: 'integer', minimum: 0 },
    method: { enum: ['custom', 'directory'], description: 'pg_dump format.' },
    selection: {
      type: 'object',
      description: 'What was left out on purpose. A backup with nothing here is whole.',
      additionalProperties: false,
      properties: {
        schemas: { type: 'array', items: { type: 'string' } },
        tables: { type: 'array', items: { type: 'string' } },
        exclude: { type: 'array', items: { type: 'string' } },
        excludeData: { type: 'array', items: { type: 'string' } },
        only: { enum: ['schema', 'data'] },
      },
    },
    compression: {
      enum: ['none', 'zstd', 'pg_dump:gzip', 'pg_dump:zstd', 'pg_dump:none'],
      description:
        'zstd: the file is a zstd stream around the archive. pg_dump:*: the archive is compressed inside.',
    },
    files: { type: 'array', items: fileSchema, minItems: 1 },
    archiveEntries: {
      type: 'object',
      description:
        'Entries of the archive by type, as pg_restore --list counts them, for example {"TABLE": 14}. Compared after a restore.',
      additionalProperties: { type: 'integer' },
    },
    fingerprint: {
      type: 'object',
      description: 'What the source looked like in the very snapshot that was dumped.',
      required: ['kind', 'tables'],
      additionalProperties: false,
      properties: {
        kind: { enum: ['none', 'counts', 'content'] },
        laneVersion: { type: 'integer' },
        tables: { type: 'array', items: tableFingerprintSchema },
        sequences: {
          type: 'array',
          items: {
            type: 'object',
            required: ['schema', 'name', 'lastValue', 'isCalled'],
            additionalProperties: false,
            properties: {
              schema: { type: 'string' },
              name: { type: 'string' },
              lastValue: { type: 'string' },
              isCalled: { type: 'boolean' },
            },
          },
        },
        largeObjects: { type: 'integer' },
        largeObjectContent: {
          type: 'string',
          description:
            'One sum of hashes over the bytes of all large objects; absent where they could not be read.',
        },
      },
    },
    checksum: {
      ...sha256,
      description:
        'SHA-256 of this document as compact JSON without this key: jq -cj "del(.checksum)" FILE | sha256sum.',
    },
  },
} as const satisfies JsonSchema & { $schema: string };

export type Manifest = Infer<typeof manifestSchema>;
export type ManifestFile = Infer<typeof fileSchema>;
export type Fingerprint = Manifest['fingerprint'];
export type TableFingerprint = Infer<typeof tableFingerprintSchema>;

/** What was shown of a backup, in rising order of worth. */
export const PROOF_KINDS = ['verified', 'restored', 'checked', 'identical'] as const;
export type ProofKind = (typeof PROOF_KINDS)[number];

export const proofSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'backplan proof',
  description: 'One statement about a backup, kept beside its manifest; never changed, only added to.',
  type: 'object',
  required: ['proofVersion', 'backup', 'kind', 'passed', 'at', 'run'],
  additionalProperties: false,
  properties: {
    proofVersion: { const: 1 },
    backup: { type: 'string' },
    kind: { enum: PROOF_KINDS },
    passed: {
      type: 'boolean',
      description: 'False is kept too: a backup whose newest check failed is not proven.',
    },
    at: instant,
    run: { type: 'string' },
    suite: { type: 'string', description: 'For checked.' },
    summary: { type: 'string', examples: ['15/15 checks passed'] },
    serverVersion: { type: 'string', description: 'Where it was restored.' },
    durationMs: { type: 'integer', description: 'For restored: how long the restore took.' },
    checksum: {
      ...sha256,
      description:
        'SHA-256 of this document as compact JSON without this key: jq -cj "del(.checksum)" FILE | sha256sum.',
    },
  },
} as const satisfies JsonSchema & { $schema: string };

export type Proof = Infer<typeof proofSchema>;

/** A published backup with everything that was shown of it. */
export interface Backup {
  readonly repository: string;
  readonly manifest: Manifest;
  readonly proofs: readonly Proof[];
  /** Folder inside the repository's storage. */
  readonly folder: string;
}

/** For `sort`: the backup that was begun last comes first. */
export function newestFirst(a: Backup, b: Backup): number {
  return b.manifest.startedAt.localeCompare(a.manifest.startedAt);
}

/** Bytes stored. */
export function storedSize(manifest: Manifest): number {
  return manifest.files.reduce((sum, file) => sum + file.size, 0);
}

/** True when nothing was left out on purpose. */
export function isWhole({ manifest }: Backup): boolean {
  return Object.values(manifest.selection).every(
    (value) => value === undefined || (Array.isArray(value) && value.length === 0),
  );
}

/** The newest statement of a kind, or undefined. */
export function newestProof(backup: Backup, kind: ProofKind): Proof | undefined {
  return backup.proofs
    .filter((proof) => proof.kind === kind)
    .sort((a, b) => a.at.localeCompare(b.at))
    .at(-1);
}

/** Proven: restored, and the newest `checked` says passed; a later failed verification takes the proof away. */
export function isProven(backup: Backup): boolean {
  const newest = (kind: ProofKind) => newestProof(backup, kind)?.passed;
  return (
    newest('restored') === true &&
    newest('checked') === true &&
    newest('verified') !== false &&
    newest('identical') !== false
  );
}
