/** Names from the plan on the line, for shell completion. Loaded only when a name is asked for. */
import { existsSync } from 'node:fs';
import { createApp } from '../app.ts';
import type { Plan } from '../plan/model.ts';
import { journalFile } from '../runs/run-id.ts';
import type { Completes } from './command.ts';

interface Name {
  readonly value: string;
  readonly description: string;
}

interface Place {
  readonly job: string | undefined;
  readonly database: string | undefined;
  readonly state: string | undefined;
}

export async function namesFromPlan(completes: Completes, file: string, place: Place): Promise<Name[]> {
  const app = createApp();
  const { plan } = await app.loadPlan(file);
  switch (completes) {
    case 'job':
      return Object.values(plan.jobs).map(({ name, description = '' }) => ({ value: name, description }));
    case 'database':
      return names(plan.databases);
    case 'repository':
      return names(plan.repositories);
    case 'suite':
      return names(plan.suites);
    case 'notifier':
      return names(plan.notifiers);
    case 'input':
      return Object.values(plan.jobs[place.job ?? '']?.inputs ?? {}).map(({ name, description = '' }) => ({
        value: `${name}=`,
        description,
      }));
    case 'backup':
      return [
        { value: 'latest-proven', description: 'the newest that was restored and checked' },
        { value: 'latest', description: 'the newest' },
        ...(await backups(plan, place.database)),
      ];
    case 'run': {
      // Pressing Tab makes no files.
      if (!existsSync(journalFile(app.stateDirectory(place.state)))) return [];
      const journal = await app.openState(place.state);
      try {
        return [
          { value: 'latest', description: 'the last one' },
          ...journal
            .listRuns({ plan: plan.name, limit: 20 })
            .map(({ id, job, status }) => ({ value: id, description: `${job}, ${status}` })),
        ];
      } finally {
        journal.close();
      }
    }
    default:
      return [];
  }

  async function backups(of: Plan, database: string | undefined): Promise<Name[]> {
    const found = await Promise.all(
      Object.keys(of.repositories).map(async (name) => {
        try {
          return await (await app.repository(of, name)).backups(database);
        } catch {
          // One that cannot be read has nothing to offer.
          return [];
        }
      }),
    );
    return found
      .flat()
      .sort((a, b) => b.manifest.startedAt.localeCompare(a.manifest.startedAt))
      .slice(0, 30)
      .map(({ manifest }) => ({
        value: manifest.id,
        description: [manifest.startedAt, manifest.label ?? ''].filter((text) => text !== '').join(', '),
      }));
  }
}

function names(record: Readonly<Record<string, unknown>>): Name[] {
  return Object.keys(record).map((value) => ({ value, description: '' }));
}
