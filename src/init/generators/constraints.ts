/** Checks of CHECK and exclusion constraints, of tables and of domains. */
import { isRecord } from '../../schema-walk.ts';
import { findNamed } from '../live/find.ts';
import { type Generator, key, located, planName } from '../subject.ts';

export const constraint: Generator = {
  kind: 'constraint',
  heading: 'CHECK and exclusion constraints.',
  suggest: (schema) =>
    [
      ...schema.constraints.map(({ table, ...rest }) => ({
        on: table,
        at: { table: planName(table) },
        ...rest,
      })),
      ...schema.domainConstraints.map(({ domain, ...rest }) => ({
        on: domain,
        at: { domain: planName(domain) },
        ...rest,
      })),
    ].map(({ on, at, name, validated }) => ({
      subject: key('domain' in at ? 'domain constraint' : 'constraint', on.schema, on.name, name),
      params: { ...at, name, ...(validated ? {} : { validated: false }) },
      ...(validated ? {} : { note: `${JSON.stringify(name)} is NOT VALID: older rows were never checked.` }),
    })),
  subjects: (params, schema) => {
    if (isRecord(params) && typeof params.domain === 'string' && typeof params.name === 'string') {
      const domains = schema.domainConstraints.map(({ domain }) => domain);
      const on = findNamed(domains, params.domain);
      return [
        {
          subject: key('domain constraint', on?.schema ?? '', on?.name ?? params.domain, params.name),
          exists: schema.domainConstraints.some(
            ({ domain, name }) =>
              domain.schema === on?.schema && domain.name === on.name && name === params.name,
          ),
        },
      ];
    }
    const found = located(params, schema);
    if (found === undefined || !isRecord(params) || typeof params.name !== 'string') return [];
    const { schema: own = 'public', name } = found.name;
    return [
      {
        subject: key('constraint', own, name, params.name),
        exists: schema.constraints.some((each) => each.table === found.live && each.name === params.name),
      },
    ];
  },
};
