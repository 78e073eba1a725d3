import { conclude } from './catalog-check.ts';
import { defineCheck } from './check-kind.ts';
import { parseName } from './names.ts';
import { headroomTrouble, percentSchema } from './sequence-headroom.ts';
import { allSequences, sequencePositions, sequenceTrouble } from './sequence-state.ts';

/** `sequences: {headroom: 20%}`: every sequence of the database is ahead of its columns and has values left. */
export const sequences = defineCheck({
  kind: 'sequences',
  summary: 'Every sequence is ahead of the columns that draw from it and has values left.',
  params: {
    type: 'object',
    description: 'Looks at all sequences of the database; needs no parameters.',
    additionalProperties: false,
    properties: {
      headroom: percentSchema,
      ignore: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        uniqueItems: true,
        description: 'Sequences that are known and accepted.',
        examples: [['audit.Log_id_seq']],
      },
    },
    examples: [{ headroom: '20%' }, {}],
  },
  title: ({ headroom }) => `sequences${headroom === undefined ? '' : ` with ${headroom} left`}`,
  async run(client, { headroom, ignore = [] }, { sample }) {
    const ignored = ignore.map(parseName);
    const all = (await allSequences(client)).filter(
      ({ schema, name }) => !ignored.some((each) => each.name === name && (each.schema ?? schema) === schema),
    );
    if (all.length === 0) return { outcome: 'vacuous', message: 'the database has no sequence to look at' };
    const positions = await sequencePositions(client, all);
    const found = all.flatMap((sequence) => {
      const position = positions.get(sequence.oid);
      if (position === undefined) return [];
      return [sequenceTrouble(sequence, position), headroomTrouble(sequence, position, headroom)]
        .filter((trouble) => trouble !== undefined)
        .map((trouble) => ({ ...trouble, sequence }));
    });
    const shown = found.slice(0, Math.max(1, sample));
    const finding = conclude(
      shown,
      `${all.length === 1 ? 'the only sequence is ahead of its columns' : `all ${all.length} sequences are ahead of their columns`}`,
    );
    if (found.length === 0) return finding;
    return {
      ...finding,
      message: `${finding.message}${found.length > shown.length ? `; … (${found.length} in all)` : ''}`,
      count: found.length,
      samples: shown.map(({ sequence: { schema, name } }) => ({ schema, name })),
    };
  },
});
