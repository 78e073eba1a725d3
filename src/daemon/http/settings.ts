/** Where the daemon listens and who may ask: flags, then the environment, then the file, then loopback. */
import { BackplanError } from '../../errors.ts';
import type { Infer, JsonSchema } from '../../schema.ts';
import type { HttpOptions } from './service.ts';

const DEFAULT = { host: '127.0.0.1', port: 8470 };

const file = { type: 'string', minLength: 1 } as const;

export const httpSettingsSchema = {
  type: 'object',
  description: 'The HTTP server: health, metrics, API.',
  examples: [{ listen: '0.0.0.0:8470', tokenFile: '/etc/backplan/token' }],
  additionalProperties: false,
  properties: {
    listen: {
      type: ['string', 'integer'],
      description:
        'Port, host:port, or off; as --http and $BACKPLAN_HTTP. Beyond loopback a token is needed. Default: 127.0.0.1:8470.',
      examples: ['0.0.0.0:8470', 'off'],
    },
    tokenFile: {
      ...file,
      description:
        'File with the token that requests must carry, as --http-token-file and $BACKPLAN_HTTP_TOKEN_FILE; read again for each.',
      examples: ['/etc/backplan/token'],
    },
    certificateFile: {
      ...file,
      description: 'Certificate (chain) for TLS, PEM.',
      examples: ['/etc/backplan/tls.crt'],
    },
    keyFile: { ...file, description: 'Private key for TLS, PEM.', examples: ['/etc/backplan/tls.key'] },
  },
} as const satisfies JsonSchema;

type HttpFile = Infer<typeof httpSettingsSchema>;

/** Relative paths in the file start at its folder. */
export function filesOf(http: HttpFile, from: (path: string) => string): HttpFile {
  const paths = (['tokenFile', 'certificateFile', 'keyFile'] as const).flatMap((name) => {
    const path = http[name];
    return path === undefined ? [] : [[name, from(path)] as const];
  });
  return { ...http, ...Object.fromEntries(paths) };
}

/**
 * undefined: no HTTP. `optional` is set where nobody asked for it: a port in use then keeps no backup from being made.
 * @throws INPUT_INVALID
 */
export function httpOptions(
  flags: { readonly listen: string | undefined; readonly tokenFile: string | undefined },
  http: HttpFile = {},
  env: NodeJS.ProcessEnv = process.env,
): HttpOptions | undefined {
  const listen = flags.listen ?? (env.BACKPLAN_HTTP || undefined) ?? http.listen?.toString();
  if (listen === 'off') return undefined;
  const tokenFile = flags.tokenFile ?? (env.BACKPLAN_HTTP_TOKEN_FILE || undefined) ?? http.tokenFile;
  const { certificateFile, keyFile } = http;
  if ((certificateFile === undefined) !== (keyFile === undefined)) {
    throw new BackplanError('INPUT_INVALID', 'http: certificateFile and keyFile belong together');
  }
  return {
    ...(listen === undefined ? { ...DEFAULT, optional: true } : parseListen(listen)),
    ...(tokenFile === undefined ? {} : { tokenFile }),
    ...(certificateFile === undefined || keyFile === undefined ? {} : { tls: { certificateFile, keyFile } }),
  };
}

function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[^:\s]+):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new BackplanError('INPUT_INVALID', `"${text}" is no place to listen on`, {
      hint: 'Write a port (8470), host:port (0.0.0.0:8470, [::1]:8470), or off.',
    });
  }
  return { host: match[1] ?? DEFAULT.host, port };
}
