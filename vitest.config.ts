import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/global-cluster.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 3,
    // A fault test that takes a minute must not hide behind a hanging neighbour.
    teardownTimeout: 20_000,
    env: { NO_COLOR: '1', LC_ALL: 'C.UTF-8' },
  },
});
