/** What checks may know of the backup that a database was restored from. */
import type { Manifest } from '../repository/manifest.ts';
import type { BackupFacts } from './check-kind.ts';

/** From the manifest alone; its snapshot is taken when the backup starts. */
export function backupFacts(manifest: Pick<Manifest, 'id' | 'startedAt' | 'fingerprint'>): BackupFacts {
  const rows = new Map(
    manifest.fingerprint.tables.map((table) => [JSON.stringify([table.schema, table.table]), table.rows]),
  );
  return {
    id: manifest.id,
    snapshotAt: new Date(manifest.startedAt),
    rowsOf: (schema, name) => rows.get(JSON.stringify([schema, name])),
  };
}
