/** `schema`: prints a JSON Schema, of the plan by default, for editors, linters and generators. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BackplanError, EXIT } from '../errors.ts';
import { defineCommand, flag, optionalArgument } from './command.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'schemas');

export const schema = defineCommand({
  name: 'schema',
  summary: 'print the JSON Schema of plans, manifests, runs and listings',
  description:
    'Put `# yaml-language-server: $schema=PATH` into the first line of a plan, and the editor completes and explains it.',
  group: 'Set-up',
  arguments: { name: optionalArgument('which schema (default: plan)') },
  options: { list: flag('--list', 'list the names') },
  examples: [
    { line: 'schema > plan.schema.json', does: 'the schema of plans' },
    { line: 'schema manifest', does: 'what describes a backup' },
    { line: 'schema --list', does: 'all that there are' },
  ],
  exits: [],
  async run({ name = 'plan', list }, { out }) {
    const names = readdirSync(FOLDER).flatMap((file) => /^(.*)\.schema\.json$/.exec(file)?.[1] ?? []);
    if (list) {
      out.document(names);
      out.print(names.join('\n'));
      return EXIT.success;
    }
    if (!names.includes(name)) {
      const { didYouMean } = await import('../suggest.ts');
      throw new BackplanError('USAGE', `there is no schema "${name}"${didYouMean(name, names)}`, {
        hint: `There are: ${names.join(', ')}.`,
      });
    }
    // The same in both forms of output: a schema is JSON.
    process.stdout.write(readFileSync(join(FOLDER, `${name}.schema.json`), 'utf8'));
    return EXIT.success;
  },
});
