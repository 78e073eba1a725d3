#!/usr/bin/env node
// Plain JavaScript without new syntax: an old Node must get far enough to say what is wrong.
const major = Number(process.versions.node.split('.')[0]);

if (major < 24) {
  console.error(
    'error ENVIRONMENT: backplan needs Node 24 or newer, this is ' +
      process.versions.node +
      '; get it from https://nodejs.org/en/download or with `npx -p node@24 -p backplan backplan`',
  );
  process.exitCode = 6;
} else {
  import('../dist/cli/main.js').then(
    (cli) => cli.start(),
    (error) => {
      const notBuilt =
        error.code === 'ERR_MODULE_NOT_FOUND' && /dist[\\/]cli[\\/]main\.js/.test(error.message);
      console.error(
        notBuilt
          ? 'error ENVIRONMENT: backplan is not built yet; run `npm run build` in its folder'
          : `error ENVIRONMENT: backplan cannot start; run "npm ci" in its folder: ${error.message}`,
      );
      process.exitCode = 6;
    },
  );
}
