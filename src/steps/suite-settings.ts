/** Settings of steps that run suites of checks. */
import { durationSchema, type JsonSchema } from '../schema.ts';

const names = { type: 'array', items: { type: 'string', minLength: 1 } } as const;

/** One suite or several; the step says what becomes of them. */
export const suiteChoice = {
  'x-expected': 'the name of a suite, or a list of names',
  oneOf: [
    { type: 'string', 'x-ref': 'suite' },
    { type: 'array', items: { type: 'string', 'x-ref': 'suite' }, minItems: 1, uniqueItems: true },
  ],
} as const satisfies JsonSchema;

/** Which checks run, with what. */
export const suiteSettings = {
  only: {
    ...names,
    description: 'Run only the checks of these names or tags.',
    examples: [['quick']],
  },
  skip: {
    ...names,
    description: 'Leave out the checks of these names or tags.',
    examples: [['slow']],
  },
  params: {
    type: 'object',
    description: 'Values for the parameters of the suites.',
    additionalProperties: { type: ['string', 'number', 'boolean', 'null'] },
    examples: [{ tenants: 3 }],
  },
  timeout: {
    ...durationSchema,
    description: 'How long one check may take that sets no timeout of its own.',
    default: '5m',
    examples: ['5m'],
  },
} as const satisfies Record<string, JsonSchema>;
