/** The mutations by check kind. To add one: write it, list it here. `amcheck` and `checksums` have none: no statement breaks a page. */
import { grant } from './grant.ts';
import { keyMutations } from './key-checks.ts';
import type { Mutation } from './mutation.ts';
import { objectMutations } from './object-checks.ts';
import { relationMutations } from './relation-checks.ts';
import { rowMutations } from './row-checks.ts';

export const mutations: ReadonlyMap<string, Mutation> = new Map(
  [...relationMutations, ...keyMutations, ...objectMutations, grant, ...rowMutations].map((each) => [
    each.kind,
    each,
  ]),
);
