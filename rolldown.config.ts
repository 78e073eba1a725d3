import { defineConfig } from 'rolldown';

/**
 * One file per group of commands instead of hundreds of modules, dependencies included: most of what a short command
 * such as `validate` takes is finding and compiling files.
 */
export default defineConfig({
  input: { 'cli/main': 'src/cli/main.ts' },
  platform: 'node',
  output: {
    dir: 'dist',
    format: 'esm',
    cleanDir: true,
    entryFileNames: '[name].js',
    // As deep as the sources are, for paths beside import.meta.dirname.
    chunkFileNames: 'chunks/[name]-[hash].js',
  },
});
