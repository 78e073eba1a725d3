import { BackplanError } from '../errors.ts';
import { identifier, literal } from '../postgres/client.ts';
import { absence, conclude, defineCatalogCheck, existenceTitle, existsSchema } from './catalog-check.ts';
import { closest } from './names.ts';

interface ExtensionFacts extends Record<string, unknown> {
  name: string;
  /** Null: not installed. */
  version: string | null;
  schema: string | null;
  /** Null: the server does not offer it. */
  available: string | null;
}

/** `extension: {name: postgis, version: ">= 3.3"}`: the extension is installed, in a fitting version. */
export const extension = defineCatalogCheck({
  kind: 'extension',
  summary: 'An extension is installed, in a fitting version.',
  params: {
    type: 'object',
    description: 'An extension that must be installed.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: { type: 'string', minLength: 1, description: 'The extension.', examples: ['pgcrypto'] },
      version: {
        type: 'string',
        pattern: '^\\s*(>=|<=|>|<|=)?\\s*[0-9A-Za-z][^\\s]*\\s*$',
        'x-expected': 'a version such as 1.3 or ">= 1.3"',
        description: 'Its version, or a bound.',
        examples: ['>= 3.3', '1.6'],
      },
      schema: {
        type: 'string',
        minLength: 1,
        description: 'The schema that it must be in.',
        examples: ['public'],
      },
      exists: existsSchema,
    },
    examples: [{ name: 'pgcrypto', version: '>= 1.3' }],
  },
  title: ({ name, version, exists }) =>
    existenceTitle(`extension ${name}${version === undefined ? '' : ` ${version.trim()}`}`, exists),
  async runAll(client, all) {
    const rows = await client.query<ExtensionFacts>(
      `SELECT coalesce(e.extname, a.name)::pg_catalog.text AS name, e.extversion AS version,
         n.nspname::pg_catalog.text AS schema, a.default_version AS available
       FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
       FULL JOIN pg_catalog.pg_available_extensions() a ON a.name = e.extname`,
    );
    return all.map(({ name, version, schema, exists }) => {
      const facts = rows.find((row) => row.name === name);
      const label = `extension ${identifier(name)}`;
      const installed = facts?.version ?? undefined;
      if (exists === false) {
        return absence(label, installed !== undefined, `DROP EXTENSION ${identifier(name)};`);
      }
      if (facts === undefined || installed === undefined) {
        return conclude([{ message: `${label} is not installed`, hint: missingHint(name, facts, rows) }], '');
      }
      const problems: { message: string; hint: string }[] = [];
      if (version !== undefined && !versionFits(installed, version)) {
        const can = facts.available !== null && versionFits(facts.available, version);
        problems.push({
          message: `${label} is version ${installed}, expected ${version.trim()}`,
          hint: can
            ? `ALTER EXTENSION ${identifier(name)} UPDATE TO ${literal(facts.available ?? '')};`
            : `The server offers ${facts.available ?? 'no version of it any more'}: install another package on the server.`,
        });
      }
      if (schema !== undefined && schema !== facts.schema) {
        problems.push({
          message: `${label} is in schema ${identifier(facts.schema ?? '')}, expected ${identifier(schema)}`,
          hint: `ALTER EXTENSION ${identifier(name)} SET SCHEMA ${identifier(schema)};`,
        });
      }
      return conclude(problems, `${label} ${installed} in schema ${identifier(facts.schema ?? '')}`);
    });
  },
});

function missingHint(
  name: string,
  facts: ExtensionFacts | undefined,
  all: readonly ExtensionFacts[],
): string {
  if (facts !== undefined) return `CREATE EXTENSION ${identifier(name)};`;
  const near = closest(
    name,
    all.map((row) => row.name),
  );
  return near === undefined
    ? 'The server does not offer it: install its package on the server. That is no fault of the backup.'
    : `The server does not offer it, but it has ${identifier(near)}.`;
}

/** `1.10` is newer than `1.9`; a bound without a sign is exact. @throws INPUT_INVALID */
function versionFits(actual: string, wanted: string): boolean {
  const match = /^\s*(>=|<=|>|<|=)?\s*([0-9A-Za-z]\S*)\s*$/.exec(wanted);
  if (match?.[2] === undefined) {
    throw new BackplanError('INPUT_INVALID', `${JSON.stringify(wanted)} is no version`);
  }
  const order = compareVersions(actual, match[2]);
  switch (match[1]) {
    case '>=':
      return order >= 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '<':
      return order < 0;
    default:
      return order === 0;
  }
}

function compareVersions(left: string, right: string): number {
  const parts = (text: string) => text.match(/\d+|[A-Za-z]+/g) ?? [];
  const [a, b] = [parts(left), parts(right)];
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const [one = '0', other = '0'] = [a[index], b[index]];
    const numbers = /^\d+$/.test(one) && /^\d+$/.test(other);
    const order = numbers ? Number(one) - Number(other) : one < other ? -1 : one > other ? 1 : 0;
    if (order !== 0) return order;
  }
  return 0;
}
