/** The quickstart's own PostgreSQL: a sandbox that plays production, gone when the quickstart ends. */
import { withClient } from '../postgres/client.ts';
import { type Connection, toEnvironment, withDatabase } from '../postgres/connection.ts';
import { startSandbox } from '../postgres/sandbox.ts';
import { findTools } from '../postgres/tools.ts';
import { runTool } from '../process.ts';

export interface PrivateServer extends AsyncDisposable {
  /** `PostgreSQL 15.18`. */
  readonly version: string;
  connection(database: string): Connection;
  url(database: string): string;
  /** Creates a database and loads an SQL file into it. */
  load(database: string, file: string): Promise<void>;
}

/** @throws SANDBOX_FAILED, TOOL_MISSING */
export async function startPrivateServer(options: {
  readonly binDirectory: string;
  readonly signal: AbortSignal;
}): Promise<PrivateServer> {
  const { signal } = options;
  const tools = await findTools(undefined, {
    binDirectories: [options.binDirectory],
    need: ['initdb', 'postgres', 'psql'],
  });
  const sandbox = await startSandbox({
    tools,
    settings: { parameters: {} },
    own: () => ({ release: () => {} }),
    signal,
  });
  const connection = (database: string) => withDatabase(sandbox.connection, database);
  return {
    version: `PostgreSQL ${tools.version}`,
    connection,
    url: (database) => {
      const { user, host, port } = sandbox.connection;
      return `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}`;
    },
    load: async (database, file) => {
      await withClient(
        sandbox.connection,
        { applicationName: 'backplan quickstart', signal },
        async (client) => {
          await client.query(`CREATE DATABASE ${database} TEMPLATE template0`);
        },
      );
      await runTool({
        command: tools.path('psql'),
        args: ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', file],
        env: toEnvironment(connection(database), 'backplan quickstart'),
        signal,
      });
    },
    [Symbol.asyncDispose]: () => sandbox.stop(),
  };
}
