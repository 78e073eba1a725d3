/** Which backplan this is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

let version: string | undefined;

/** As package.json says. This file lies as deep as the built chunks, so that the path fits both. */
export function productVersion(): string {
  version ??= (
    JSON.parse(readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8')) as {
      version: string;
    }
  ).version;
  return version;
}
