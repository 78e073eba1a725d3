/** Names of the kinds of repair: for schemas and help, which load nothing else. */
export const REPAIR_KINDS = [
  'uniqueKeys',
  'orphans',
  'foreignKeys',
  'unvalidated',
  'indexes',
  'sequences',
  'materializedViews',
] as const;

export type RepairKindName = (typeof REPAIR_KINDS)[number];
