import { defineConfig } from 'vitest/config';
import { thorough } from './test/helpers/rounds.ts';

/**
 * Left out of the daily run, which must stay below ten minutes on two cores: what they look at closely is touched by
 * others too. BACKPLAN_FAULT_ROUNDS=1 (or more) runs them all.
 */
const THOROUGH = [
  'test/cli/completion.test.ts',
  'test/cli/notify.test.ts',
  'test/cli/terminal.test.ts',
  'test/plans/crm-jobs.test.ts',
  'test/postgres/copy-lanes.test.ts',
  'test/repository/fault-sweep.test.ts',
  'test/steps/rebuild-constraints.test.ts',
  'test/steps/restore-faults.test.ts',
];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: thorough ? [] : THOROUGH,
    globalSetup: ['test/helpers/global-cluster.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 3,
    // A file starts in a process that has the modules of others loaded already; none keeps state in them.
    isolate: false,
    // A fault test that takes a minute must not hide behind a hanging neighbour.
    teardownTimeout: 20_000,
    env: { NO_COLOR: '1', LC_ALL: 'C.UTF-8' },
  },
});
