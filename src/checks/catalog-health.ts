import { identifier } from '../postgres/client.ts';
import { attempt } from './attempt.ts';
import { HEALTH_ITEM_NAMES, HEALTH_ITEMS, type HealthItemName } from './catalog-health-items.ts';
import { type CheckClient, defineCheck, type Finding } from './check-kind.ts';
import { missingLibraries } from './missing-libraries.ts';
import { parseName, showName } from './names.ts';
import { allSequences, sequencePositions, sequenceTrouble } from './sequence-state.ts';

/** One thing that is not well. */
interface Ailment {
  readonly item: HealthItemName;
  readonly schema: string | null;
  /** The table or the like. */
  readonly onName: string;
  /** What stands on it. */
  readonly name: string | null;
  readonly detail: string;
  readonly mend: string | null;
}

/**
 * `catalogHealth: {}`: nothing in the catalog says that something is broken, off or half done. Tables without primary
 * key, foreign keys without index and emptied unlogged tables are a warning; `skip` keeps quiet about them.
 */
export const catalogHealth = defineCheck({
  kind: 'catalogHealth',
  summary: 'Nothing is invalid, disabled, unfilled, behind or half done anywhere in the database.',
  params: {
    type: 'object',
    description: 'Looks through the whole catalog; needs no parameters.',
    additionalProperties: false,
    properties: {
      skip: {
        type: 'array',
        items: { enum: HEALTH_ITEM_NAMES },
        uniqueItems: true,
        description: 'What not to look for.',
        examples: [['withoutPrimaryKey']],
      },
      warn: {
        type: 'array',
        items: { enum: HEALTH_ITEM_NAMES },
        uniqueItems: true,
        description:
          'What is a warning and does not fail the check. Default: withoutPrimaryKey, unindexedForeignKeys, emptiedUnloggedTables.',
        examples: [['unvalidatedConstraints', 'withoutPrimaryKey']],
      },
      ignore: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        uniqueItems: true,
        description:
          'Names that are known and accepted: of a table (with all that stands on it), an index, a constraint, a trigger, a sequence.',
        examples: [['audit.Log', 'User_old_idx']],
      },
    },
    examples: [{}, { skip: ['withoutPrimaryKey'], ignore: ['User_old_idx'] }],
  },
  title: () => 'catalogHealth',
  async run(client, { skip = [], warn = DEFAULT_WARN, ignore = [] }, { sample }) {
    const wanted = HEALTH_ITEM_NAMES.filter((item) => !skip.includes(item));
    const ignored = ignore.map(parseName);
    const isIgnored = ({ schema, onName, name }: Ailment) =>
      ignored.some(
        (each) =>
          (each.schema === undefined || each.schema === schema) &&
          (each.name === onName || each.name === name),
      );
    const all = (await ailments(client, wanted)).filter((ailment) => !isIgnored(ailment));
    return report(all, wanted, warn, sample);
  },
});

const DEFAULT_WARN = HEALTH_ITEMS.filter(({ severity }) => severity === 'warn').map(({ item }) => item);

const WHAT: Readonly<Record<string, readonly [string, string]>> = {
  ...Object.fromEntries(HEALTH_ITEMS.map(({ item, what }) => [item, what])),
  sequencesBehind: ['sequence behind its column', 'sequences behind their columns'],
  missingLibraries: ['missing extension library', 'missing extension libraries'],
};

async function ailments(client: CheckClient, wanted: readonly HealthItemName[]): Promise<Ailment[]> {
  const found = await fromCatalog(client, wanted);
  if (wanted.includes('missingLibraries')) {
    for (const { name, ...rest } of await missingLibraries(client)) {
      found.push({ item: 'missingLibraries', schema: null, onName: name, name: null, ...rest });
    }
  }
  if (wanted.includes('sequencesBehind')) {
    // A sequence that may not be read must not hide what else is wrong; alone it means that nobody looked.
    found.push(
      ...((found.length > 0 ? await attempt(client, () => behind(client)) : await behind(client)) ?? []),
    );
  }
  return found;
}

async function fromCatalog(client: CheckClient, wanted: readonly HealthItemName[]): Promise<Ailment[]> {
  const parts = HEALTH_ITEMS.filter(({ item }) => wanted.includes(item)).flatMap(({ item, sql }) => {
    const text = sql(client.serverVersion);
    return text === undefined
      ? []
      : [
          `SELECT '${item}' AS item, schema::pg_catalog.text, on_name::pg_catalog.text, name::pg_catalog.text, detail, mend FROM (${text}) AS ${item}`,
        ];
  });
  if (parts.length === 0) return [];
  const rows = await client.query<{
    item: HealthItemName;
    schema: string | null;
    on_name: string;
    name: string | null;
    detail: string;
    mend: string | null;
  }>(
    `SELECT * FROM (${parts.join('\nUNION ALL\n')}) AS found ORDER BY schema <> 'public', schema, on_name, name`,
  );
  return rows.map(({ on_name, ...row }) => ({ ...row, onName: on_name }));
}

async function behind(client: CheckClient): Promise<Ailment[]> {
  const sequences = (await allSequences(client)).filter(({ columns }) => columns.length > 0);
  const positions = await sequencePositions(client, sequences);
  return sequences.flatMap((sequence) => {
    const position = positions.get(sequence.oid);
    const trouble = position === undefined ? undefined : sequenceTrouble(sequence, position);
    if (trouble === undefined) return [];
    const { schema, name, columns } = sequence;
    const onName = columns[0]?.table ?? name;
    return [{ item: 'sequencesBehind', schema, onName, name, detail: trouble.message, mend: trouble.hint }];
  });
}

function report(
  all: readonly Ailment[],
  wanted: readonly HealthItemName[],
  warn: readonly HealthItemName[],
  sample: number,
): Finding {
  const serious = all.filter(({ item }) => !warn.includes(item));
  // What is serious comes first: samples are few.
  const ordered = [...serious, ...all.filter(({ item }) => warn.includes(item))];
  if (ordered.length === 0) {
    return {
      outcome: 'passed',
      message: `the catalog is healthy: ${wanted.length} things looked for, none found`,
    };
  }
  const counted = wanted
    .map((item) => ({ what: WHAT[item], of: ordered.filter((each) => each.item === item) }))
    .filter(({ of }) => of.length > 0)
    .map(({ what, of: [first, ...rest] }) =>
      rest.length === 0
        ? `1 ${what?.[0]}: ${label(first as Ailment)}`
        : `${rest.length + 1} ${what?.[1]} (${label(first as Ailment)}, …)`,
    );
  const mends = ordered.map(({ mend }) => mend).filter((mend) => mend !== null);
  return {
    outcome: serious.length > 0 ? 'failed' : 'warned',
    message: `${serious.length > 0 ? '' : 'nothing is broken, but unwise: '}${counted.join('; ')}`,
    ...(mends.length === 0 ? {} : { hint: [...new Set(mends)].slice(0, Math.max(1, sample)).join(' ') }),
    count: ordered.length,
    samples: ordered.slice(0, sample).map((ailment) => ({
      item: ailment.item,
      object: label(ailment),
      detail: ailment.detail,
    })),
  };
}

/** `"audit"."Log"."Log_at_idx"`: the table, then what stands on it. */
function label({ item, schema, onName, name }: Ailment): string {
  if (item === 'sequencesBehind' && name !== null) return showName({ schema: schema ?? 'public', name });
  const on = showName({ schema: schema ?? 'public', name: onName });
  return name === null ? on : `${on}.${identifier(name)}`;
}
