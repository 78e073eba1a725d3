/** `notify`: tells somebody something from within a job, for example in `onFailure`. */
import { BackplanError } from '../errors.ts';
import { defineStep } from './step-kind.ts';

export const notify = defineStep({
  kind: 'notify',
  summary:
    'Send a message through notifiers of the plan. One that cannot be reached fails the step only if asked to.',
  with: {
    type: 'object',
    required: ['message', 'to'],
    additionalProperties: false,
    properties: {
      message: {
        type: 'string',
        minLength: 1,
        description: 'What to say.',
        examples: ['The monthly export of ${{ steps.dump.outputs.backup }} is ready.'],
      },
      title: {
        type: 'string',
        minLength: 1,
        maxLength: 300,
        description: 'One line in front. Default: the first line of the message.',
        examples: ['Monthly export'],
      },
      level: {
        enum: ['info', 'success', 'warning', 'error'],
        description: 'How it is shown: colours, and whether somebody is woken.',
        examples: ['warning'],
        default: 'info',
      },
      to: {
        type: 'array',
        description: 'Notifiers of the plan; their `on` does not matter here.',
        examples: [['ops']],
        minItems: 1,
        uniqueItems: true,
        items: { type: 'string', 'x-ref': 'notifier' },
      },
      required: {
        type: 'boolean',
        description: 'Fail the step when one of them was not reached. Default: it is only logged.',
        examples: [true],
        default: false,
      },
    },
  },
  outputs: {
    delivered: { type: 'list', description: 'Notifiers that took the message.' },
    failed: { type: 'list', description: 'Notifiers that did not.' },
  },
  describe: ({ to, title, message }) => `tell ${to.join(', ')}: ${title ?? firstLine(message)}`,
  async run({ message, title = firstLine(message), level, to, required }, context) {
    const deliveries = await context.notify(to, { level, title, text: message });
    for (const { notifier, delivered, said } of deliveries) {
      if (delivered) context.log.info(`${notifier} was told (${said})`);
      else context.log.warn(`${notifier} was not told: ${said}`);
    }
    const names = (delivered: boolean) =>
      deliveries.filter((each) => each.delivered === delivered).map(({ notifier }) => notifier);
    const failed = names(false);
    if (required && failed.length > 0) {
      const [first] = deliveries.filter(({ delivered }) => !delivered);
      throw new BackplanError('NOTIFY_FAILED', `${failed.join(', ')} could not be told: ${first?.said}`, {
        hint: 'Try it with: backplan notify PLAN --test',
        transient: true,
      });
    }
    return { delivered: names(true), failed };
  },
});

function firstLine(message: string): string {
  return (message.split('\n')[0] ?? '').slice(0, 300);
}
