/** Proofs: statements about a backup, kept beside its manifest, one file each, never changed. */
import type { Storage, StorageEntry } from '../storage/storage.ts';
import { compactInstant } from '../units.ts';
import { compileSchema } from '../validator.ts';
import { PROOFS_FOLDER } from './layout.ts';
import { type Proof, proofSchema } from './manifest.ts';
import { isIntact, seal } from './seal.ts';
import { readText, writeText } from './text.ts';

/**
 * Reads the proofs of a backup. A file that is damaged, of a newer version or about another backup shows nothing;
 * `note` is told of it.
 */
export async function readProofs(
  storage: Storage,
  id: string,
  files: readonly StorageEntry[],
  note: (message: string) => void,
): Promise<Proof[]> {
  const proofs: Proof[] = [];
  for (const { path } of files) {
    if (!path.endsWith('.json')) continue;
    try {
      const proof = await parseProof(await readText(storage, path));
      if (proof.backup !== id) throw new Error(`it is about the backup ${proof.backup}`);
      proofs.push(proof);
    } catch (error) {
      note(`${path} is ignored: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return proofs.sort((a, b) => a.at.localeCompare(b.at));
}

async function parseProof(text: string): Promise<Proof> {
  const document: unknown = JSON.parse(text);
  const validate = await compileSchema(proofSchema);
  const [problem] = validate(document).filter(({ keyword }) => keyword !== 'unknownKey');
  if (problem !== undefined)
    throw new Error(`${problem.path.join('.') || 'the document'}: ${problem.message}`);
  const proof = document as Proof;
  if (!isIntact(proof)) throw new Error('its checksum does not fit');
  if (Number.isNaN(Date.parse(proof.at))) throw new Error(`"${proof.at}" is not a time`);
  return proof;
}

/** Adds a proof. @throws the storage's errors */
export async function writeProof(storage: Storage, folder: string, proof: Proof): Promise<void> {
  const run = proof.run.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 100);
  const base = `${folder}/${PROOFS_FOLDER}/${compactInstant(new Date(proof.at))}-${proof.kind}-${run}`;
  let path = `${base}.json`;
  for (let number = 2; (await storage.stat(path)) !== undefined; number++) path = `${base}-${number}.json`;
  await writeText(storage, path, `${JSON.stringify(seal(proof), null, 2)}\n`);
}
