import { identifier } from '../postgres/client.ts';
import { absence, conclude, defineCatalogCheck, existenceTitle, existsSchema } from './catalog-check.ts';
import { closest } from './names.ts';

/** `schema: {name: audit, owner: app}`: the schema exists. */
export const schema = defineCatalogCheck({
  kind: 'schema',
  summary: 'A schema exists, and belongs to this role.',
  params: {
    type: 'object',
    description: 'A schema that must exist.',
    required: ['name'],
    additionalProperties: false,
    properties: {
      name: {
        type: 'string',
        minLength: 1,
        description: 'The schema, exactly as written, without quotes.',
        examples: ['audit'],
      },
      owner: {
        type: 'string',
        minLength: 1,
        description: 'The role that it must belong to.',
        examples: ['app'],
      },
      exists: existsSchema,
    },
    examples: [{ name: 'audit', owner: 'app' }],
  },
  title: ({ name, exists }) => existenceTitle(`schema ${name}`, exists),
  async runAll(client, all) {
    const rows = await client.query<{ name: string; owner: string }>(
      `SELECT nspname::pg_catalog.text AS name, pg_catalog.pg_get_userbyid(nspowner)::pg_catalog.text AS owner
       FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast|temp)'`,
    );
    return all.map(({ name, owner, exists }) => {
      const found = rows.find((row) => row.name === name);
      const label = `schema ${identifier(name)}`;
      if (exists === false) {
        return absence(label, found !== undefined, `DROP SCHEMA ${identifier(name)};`);
      }
      if (found === undefined) {
        const near = closest(
          name,
          rows.map((row) => row.name),
        );
        const hint =
          near === undefined
            ? `CREATE SCHEMA ${identifier(name)};`
            : `${identifier(near)} exists, wanted ${identifier(name)}.`;
        return conclude([{ message: `${label} does not exist`, hint }], '');
      }
      return conclude(
        owner === undefined || owner === found.owner
          ? []
          : [
              {
                message: `${label} belongs to ${identifier(found.owner)}, expected ${identifier(owner)}`,
                hint: `ALTER SCHEMA ${identifier(name)} OWNER TO ${identifier(owner)};`,
              },
            ],
        `${label} of ${identifier(found.owner)}`,
      );
    });
  },
});
