/** `daemon`: runs the scheduled jobs of plans until it is told to stop. */

import type { EventLevel } from '../daemon/describe.ts';
import type { DaemonEvent } from '../daemon/events.ts';
import type { HttpOptions } from '../daemon/http/service.ts';
import type { DaemonService } from '../daemon/view.ts';
import { EXIT } from '../errors.ts';
import { parseDuration } from '../units.ts';
import { type ArgumentSpec, type CommandContext, defineCommand, option, parsedOption } from './command.ts';
import { indent, type Style } from './output.ts';
import { positiveInteger } from './parse.ts';

const plans: ArgumentSpec<readonly string[]> = {
  description: 'plan files, and folders of them',
  required: false,
  variadic: true,
  completes: 'plan',
};

export const daemon = defineCommand({
  name: 'daemon',
  summary: 'run the scheduled jobs of plans, until told to stop',
  description:
    'Plans are read again on SIGHUP and when a file changes; one that is not valid leaves the last valid one running. SIGTERM: no new runs; those that run get the grace period and are then cancelled; a second SIGTERM cancels them at once. Settings come from the flags, else $BACKPLAN_CONFIG, $BACKPLAN_GRACE and $BACKPLAN_MAX_RUNNING, else the file of --config.',
  group: 'Runs',
  arguments: { plans },
  options: {
    grace: parsedOption(
      '--grace <duration>',
      'how long running jobs may go on after SIGTERM (default 30s)',
      parseDuration,
    ),
    maxRunning: parsedOption(
      '--max-running <count>',
      'how many jobs run at once, others wait (default: cores, at least 2)',
      positiveInteger,
    ),
    http: option(
      '--http <[host:]port|off>',
      'where to listen for health, metrics and API (default 127.0.0.1:8470)',
    ),
    httpTokenFile: option('--http-token-file <file>', 'file with the token that requests must carry', {
      completes: 'file',
    }),
    config: option(
      '--config <file>',
      'a YAML file of settings: plans, state, grace, maxRunning, concurrencyGroups, http',
      {
        completes: 'file',
      },
    ),
  },
  examples: [
    { line: 'daemon plans/crm.yaml', does: 'the schedules of one plan' },
    {
      line: 'daemon /etc/backplan/plans --grace 10m',
      does: 'of a folder; a dump may finish when it is stopped',
    },
    { line: 'daemon --config /etc/backplan/daemon.yaml', does: 'all settings in a file' },
  ],
  exits: [EXIT.stepFailed, EXIT.locked],
  async run({ plans: files, grace, maxRunning, config, http: listenOn, httpTokenFile }, context) {
    const [{ startDaemon }, { readSettings }, { httpOptions }, app, print] = await Promise.all([
      import('../daemon/daemon.ts'),
      import('../daemon/settings.ts'),
      import('../daemon/http/settings.ts'),
      context.app(),
      eventPrinter(context),
    ]);
    const settings = await readSettings({
      plans: files,
      state: context.globals.state,
      graceMs: grace,
      maxRunning,
      config,
    });
    const http = httpOptions({ listen: listenOn, tokenFile: httpTokenFile }, settings.file.http);
    const signals = listen(context);
    const started = await startDaemon({
      ...settings,
      stateDirectory: app.stateDirectory(settings.state),
      services: [
        { name: 'printer', start: async (view) => void view.onEvent(print), close: async () => {} },
        ...(http === undefined ? [] : [await httpService(http, context)]),
      ],
    });
    await signals.obey(started);
    return EXIT.success;
  },
});

async function httpService(options: HttpOptions, { out }: CommandContext): Promise<DaemonService> {
  const { makeHttpService } = await import('../daemon/http/service.ts');
  const service = makeHttpService(options, ({ message, hint }) => {
    out.warn(`${message}; the daemon goes on without HTTP. ${hint ?? ''}`.trimEnd());
  });
  return {
    ...service,
    start: async (daemon) => {
      await service.start(daemon);
      const url = service.url();
      if (url !== undefined) out.note(`listening on ${url}`);
    },
  };
}

interface Stoppable {
  stop(): Promise<void>;
  hurry(): void;
  reload(reason: 'signal'): Promise<void>;
}

/** Signals count from now on; those that come before there is a daemon to obey them are kept. */
function listen(context: CommandContext) {
  let daemon: Stoppable | undefined;
  let stops = 0;
  let done: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    done = resolve;
  });
  const stop = () => {
    stops += 1;
    if (stops > 2) process.exit(EXIT.interrupted);
    if (daemon === undefined) return;
    if (stops === 2) daemon.hurry();
    void daemon.stop().then(done);
  };
  const remove = context.onInterrupt((signal) => {
    if (signal === 'SIGHUP') void daemon?.reload('signal');
    else stop();
  });
  return {
    /** Until the daemon has ended. */
    obey: async (started: Stoppable) => {
      daemon = started;
      if (stops > 0) void started.stop().then(done);
      await ended;
      remove();
    },
  };
}

const COLOURS: Readonly<Record<EventLevel, Style>> = {
  info: 'cyan',
  success: 'green',
  warning: 'yellow',
  error: 'red',
};

/** One line an event: for people, or JSON. */
async function eventPrinter({ out, globals }: CommandContext): Promise<(event: DaemonEvent) => void> {
  const [{ describeEvent }, { withoutDefinitions }] = await Promise.all([
    import('../daemon/describe.ts'),
    import('../daemon/events.ts'),
  ]);
  const write = (text: string) => process.stdout.write(`${text}\n`);
  return (event) => {
    if (out.json) {
      if (event.type !== 'runEvent') write(JSON.stringify(withoutDefinitions(event)));
      return;
    }
    const line = describeEvent(event);
    if (line === undefined || (out.quiet && line.level !== 'warning' && line.level !== 'error')) return;
    const { paint } = out;
    write(`${paint('dim', event.at)} ${paint(COLOURS[line.level], line.level.padEnd(7))} ${line.text}`);
    if (line.detail !== undefined && (line.level === 'error' || globals.verbose))
      write(indent(line.detail, '  '));
  };
}
