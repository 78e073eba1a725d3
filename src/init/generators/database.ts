/** Checks of the database as a whole: sequences, settings, the health of the catalog. */
import { HEALTH_ITEMS } from '../../checks/catalog-health-items.ts';
import { isRecord } from '../../schema-walk.ts';
import { findNamed } from '../live/find.ts';
import { type Generator, key, planName } from '../subject.ts';

export const sequence: Generator = {
  kind: 'sequence',
  heading: 'Sequences are ahead of the columns that draw from them.',
  suggest: (schema) =>
    schema.sequences.map(({ owner, trouble, readable, ...name }) => ({
      subject: key('sequence', name.schema, name.name),
      params: {
        name: planName(name),
        ...(owner === undefined ? {} : { table: planName(owner.table), column: owner.column }),
        ...(readable ? {} : { ahead: false }),
      },
      ...(trouble !== undefined
        ? { severity: 'warn' as const, note: `Now: ${trouble}. Mend it, then make this an error.` }
        : readable
          ? {}
          : { note: 'The role that looked may not read it or its column: how far it is, is not checked.' }),
    })),
  subjects: (params, schema) => {
    if (!isRecord(params) || typeof params.name !== 'string') return [];
    const live = findNamed(schema.sequences, params.name);
    return [
      {
        subject: key('sequence', live?.schema ?? '', live?.name ?? params.name),
        exists: live !== undefined,
      },
    ];
  },
};

const HEALTH = key('catalogHealth');
const ONLY_WARNED = HEALTH_ITEMS.filter(({ severity }) => severity === 'warn').map(({ item }) => item);

export const catalogHealth: Generator = {
  kind: 'catalogHealth',
  heading: 'Nothing anywhere is invalid, disabled, unfilled, behind or half done.',
  suggest: ({ ailing, unseen }) => {
    const notes = [
      ...(ailing.length === 0
        ? []
        : [`There is some of this now: ${ailing.join(', ')}. Mend it, then take it out of warn.`]),
      ...(unseen.length === 0 ? [] : [`The role that looked may not see: ${unseen.join(', ')}.`]),
    ];
    const params = {
      ...(unseen.length === 0 ? {} : { skip: unseen }),
      ...(ailing.length === 0 ? {} : { warn: [...ailing, ...ONLY_WARNED] }),
    };
    return [{ subject: HEALTH, params, ...(notes.length === 0 ? {} : { note: notes.join('\n') }) }];
  },
  subjects: () => [{ subject: HEALTH, exists: true }],
};

/** Values of settings that only applications know may be secrets: those are left to the fingerprint, which hashes them. */
export const databaseSettings: Generator = {
  kind: 'databaseSettings',
  heading: 'Settings of the database and of roles in it, which no dump of it carries.',
  merges: true,
  suggest: (schema) =>
    schema.settings.map(({ role, name, value }) => ({
      subject: settingKey(role, name),
      params: role === null ? { settings: { [name]: value } } : { roles: { [role]: { [name]: value } } },
    })),
  subjects: (params, schema) => {
    if (!isRecord(params)) return [];
    const { settings, roles } = params;
    return [
      ...(isRecord(settings) ? Object.keys(settings).map((name) => ({ role: null, name })) : []),
      ...(isRecord(roles)
        ? Object.entries(roles).flatMap(([role, own]) =>
            isRecord(own) ? Object.keys(own).map((name) => ({ role, name })) : [],
          )
        : []),
    ].map(({ role, name }) => {
      const subject = settingKey(role, name);
      // Of settings that are not looked at nobody can say that they are lost, nor of those that must be absent.
      const known = !name.includes('.') && schema.settings.length > 0;
      return {
        subject,
        exists: !known || schema.settings.some((each) => settingKey(each.role, each.name) === subject),
      };
    });
  },
};

function settingKey(role: string | null, name: string): string {
  return key('setting', role ?? '', name.toLowerCase());
}
