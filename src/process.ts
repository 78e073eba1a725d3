/** The only door to execa: starts child processes in a group of their own and ends the whole group. */
import type { Readable, Writable } from 'node:stream';
import { BackplanError, type ErrorCode } from './errors.ts';

export interface ToolOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to a minimal environment; never logged. */
  readonly env?: Readonly<Record<string, string>>;
  /** Pass the whole environment of this process on (for user commands). Default: PATH, HOME, LANG, TZ and TMPDIR only. */
  readonly inheritEnv?: boolean;
  readonly cwd?: string;
  /** Numeric user and group to run as; only root may change them. */
  readonly uid?: number;
  readonly gid?: number;
  readonly signal: AbortSignal;
  /** Marks the process so that recovery finds it after a crash. */
  readonly run?: string;
  /** Each line of stderr as it comes. */
  readonly onStderr?: (line: string) => void;
  /** Text for stdin of `runTool`. */
  readonly input?: string;
  /** Milliseconds between SIGTERM and SIGKILL. Default 5000. */
  readonly killGraceMs?: number;
  /** Error code of a failure. Default TOOL_FAILED. */
  readonly code?: ErrorCode;
  /** How the tool is called in messages. Default: the last part of `command`. */
  readonly label?: string;
}

export interface ToolResult {
  readonly stdout: string;
  /** The last 200 lines. */
  readonly stderr: string;
  readonly durationMs: number;
}

export interface RunningTool {
  readonly pid: number;
  readonly stdin: Writable;
  /** Raw bytes; must be consumed. */
  readonly stdout: Readable;
  /** Resolves when the process has ended with exit code 0 and its streams are closed; rejects with BackplanError otherwise. */
  readonly done: Promise<{ stderr: string; durationMs: number }>;
  /** TERM to the group, KILL after the grace. */
  kill(): void;
}

/** The environment variable that marks every child with its run; recovery looks for it in /proc. */
export const RUN_MARK = 'BACKPLAN_RUN';

const STDERR_LINES = 200;

/** Runs a tool to its end and returns its output (up to 64 MB). @throws options.code, TOOL_MISSING, CANCELLED */
export async function runTool(options: ToolOptions): Promise<ToolResult> {
  const tool = await startTool(options);
  const chunks: Buffer[] = [];
  let size = 0;
  tool.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= 64e6) chunks.push(chunk);
  });
  tool.stdin.on('error', () => {});
  tool.stdin.end(options.input ?? '');
  const { stderr, durationMs } = await tool.done;
  return { stdout: Buffer.concat(chunks).toString('utf8'), stderr, durationMs };
}

/** Starts a tool whose streams the caller connects. */
export async function startTool(options: ToolOptions): Promise<RunningTool> {
  // Loaded when something is started: its many files take longer than everything that `validate` does.
  const { execa } = await import('execa');
  const { command, args, signal, killGraceMs = 5000, label = command.split('/').at(-1) ?? command } = options;
  const started = performance.now();
  if (signal.aborted) throw abortReason(signal);
  const child = execa(command, [...args], {
    env: {
      ...(options.inheritEnv === true ? {} : minimalEnvironment()),
      ...options.env,
      ...(options.run === undefined ? {} : { [RUN_MARK]: options.run }),
    },
    extendEnv: options.inheritEnv === true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
    buffer: false,
    encoding: 'buffer',
    reject: false,
    // A group of its own: ending it ends the workers that pg_dump -j and shells start, and Ctrl-C reaches only us.
    detached: true,
    cleanup: true,
  });
  const node = child.nodeChildProcess;
  const tail: string[] = [];
  readLines(node.stderr as Readable, (line) => {
    tail.push(line);
    if (tail.length > STDERR_LINES) tail.shift();
    options.onStderr?.(line);
  });
  let killer: NodeJS.Timeout | undefined;
  const signalGroup = (name: NodeJS.Signals) => {
    if (node.pid === undefined) return;
    try {
      process.kill(-node.pid, name);
    } catch {
      // Already gone.
    }
  };
  const kill = () => {
    if (killer !== undefined) return;
    signalGroup('SIGTERM');
    killer = setTimeout(() => signalGroup('SIGKILL'), killGraceMs);
  };
  signal.addEventListener('abort', kill, { once: true });

  const done = (async () => {
    const result = await child;
    signal.removeEventListener('abort', kill);
    clearTimeout(killer);
    // Grandchildren that outlived their leader would keep files and connections open.
    if (killer !== undefined) signalGroup('SIGKILL');
    const durationMs = performance.now() - started;
    const stderr = tail.join('\n');
    if (signal.aborted) throw abortReason(signal);
    if (result.failed)
      throw toolError(label, command, result as Failure, stderr, options.code ?? 'TOOL_FAILED');
    return { stderr, durationMs };
  })();
  // The caller may be busy with the streams when this fails; it will await `done` in time.
  done.catch(() => {});
  return { pid: node.pid ?? -1, stdin: node.stdin as Writable, stdout: node.stdout as Readable, done, kill };
}

interface Failure {
  readonly exitCode?: number;
  readonly signal?: string;
  readonly code?: string;
  readonly originalMessage?: string;
  readonly cause?: unknown;
}

function toolError(
  label: string,
  command: string,
  failure: Failure,
  stderr: string,
  code: ErrorCode,
): BackplanError {
  const cause = failure.cause as NodeJS.ErrnoException | undefined;
  if (cause?.code === 'ENOENT' || failure.code === 'ENOENT') {
    return new BackplanError('TOOL_MISSING', `${label} was not found (${command})`, {
      cause,
      hint: 'Install it (Debian, Ubuntu: apt-get install postgresql-client) or set settings.binDirectories in the plan.',
    });
  }
  if (cause?.code === 'EACCES' || failure.code === 'EACCES') {
    return new BackplanError('PERMISSION_DENIED', `${label} may not be executed (${command})`, { cause });
  }
  const how =
    failure.signal !== undefined
      ? `was killed by ${failure.signal}`
      : failure.exitCode !== undefined
        ? `ended with exit code ${failure.exitCode}`
        : `failed: ${failure.originalMessage ?? 'unknown reason'}`;
  const last =
    stderr
      .trim()
      .split('\n')
      .findLast((line) => /error|fatal|could not|cannot/i.test(line)) ?? stderr.trim().split('\n').at(-1);
  return new BackplanError(
    code,
    `${label} ${how}${last === undefined || last === '' ? '' : `: ${last.trim()}`}`,
    {
      detail: stderr,
      hint:
        failure.signal === 'SIGKILL'
          ? 'Something ended it from outside, often the kernel when memory ran out (see dmesg).'
          : undefined,
      transient:
        /connection .*(refused|reset|lost|closed)|server closed the connection|terminating connection|starting up|lock timeout/i.test(
          stderr,
        ),
    },
  );
}

function abortReason(signal: AbortSignal): BackplanError {
  return signal.reason instanceof BackplanError
    ? signal.reason
    : new BackplanError('CANCELLED', 'cancelled', { cause: signal.reason });
}

function minimalEnvironment(): Record<string, string> {
  const kept = [
    'PATH',
    'HOME',
    'USER',
    'LANG',
    'TZ',
    'TMPDIR',
    'LD_LIBRARY_PATH',
    'PGPASSFILE',
    'PGSERVICEFILE',
    'KRB5CCNAME',
  ];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name] as string]])),
  );
}

function readLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    // A tool that never ends its line must not fill memory.
    if (rest.length > 65_536) rest = rest.slice(-65_536);
    for (const line of lines) if (line !== '') onLine(line);
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
  stream.on('error', () => {});
}
