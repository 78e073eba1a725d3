import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type ConsoleOptions, makeConsoleReporter } from '../../src/report/console.ts';
import { events } from './events.ts';
import { brokenPipe, capture } from './streams.ts';

async function show(options: Partial<ConsoleOptions> = {}, logFile?: string): Promise<string> {
  const stream = capture();
  const reporter = makeConsoleReporter({ stream, color: false, live: false, unicode: true, ...options });
  for (const event of events(logFile)) reporter.on(event);
  await reporter.close?.();
  return stream.text();
}

describe('console without a terminal', () => {
  it('says in plain lines what happens, and sums up at the end', async () => {
    expect(await show({}, '/state/logs/run.jsonl')).toMatchInlineSnapshot(`
      "02:00:00Z run 20261124T020000Z-x7k2mq: job nightly of crm-license-system
      02:00:00Z dump: started (backup)
      02:00:00Z dump: try 2 in 1.5s, after CONNECTION_FAILED refused
      02:00:00Z dump: started (backup, try 2)
      02:00:00Z warning dump: large objects left out
      02:00:00Z dump: succeeded, 4.2s, backup local:crm-20261124T020000Z-x7k2, 166 MB, 1,234,567 rows
      02:00:00Z safety: started (backup)
      02:00:00Z safety: failed, tolerated, 900ms, CONNECTION_FAILED cannot connect to app@db:5432/crm
      02:00:00Z check: started (check)
      02:00:00Z check: failed, 1m 1s, CHECKS_FAILED 1 of 3 checks failed
            failed unique TenantLicense(tenantId, licenseType): 3 duplicate groups
                {"tenantId":1,"licenseType":"PRO\\u001b[31m"}
                … and 2 more
                hint: remove the duplicates
            errored slow: timed out after 60s
      02:00:00Z load: started (restore)
      02:00:00Z load: failed, 10ms, RESTORE_FAILED pg_restore ended with exit code 1
      02:00:00Z prune: skipped, check failed
      02:00:00Z warning clean-up failed: cannot stop the server

        ✓ dump    succeeded             4.2s  backup local:crm-20261124T020000Z-x7k2, 166 MB, 1,234,567 rows (2 tries)
        ! safety  failed, tolerated    900ms
        ✗ check   failed               1m 1s
        ✗ load    failed                10ms
        – prune   skipped                     check failed

      safety failed: CONNECTION_FAILED cannot connect to app@db:5432/crm
        hint: Is the server running?

      check failed: CHECKS_FAILED 1 of 3 checks failed

      load failed: RESTORE_FAILED pg_restore ended with exit code 1
        | … 18 more lines in the log
        | detail 18
        | detail 19
        | detail 20
        | detail 21
        | detail 22
        | detail 23
        | detail 24
        | detail 25
        | detail 26
        | detail 27
        | detail 28
        | detail 29

      failed: job nightly of crm-license-system, verdict rejected, 2m 5s, exit code 1
      log /state/logs/run.jsonl
      "
    `);
  });

  it('is pure ASCII where the locale is not Unicode, but for what the data holds', async () => {
    const text = await show({ unicode: false });
    expect(text).toContain('  + dump');
    expect(text).toContain('  x check');
    expect(text).not.toMatch(/[✓✗●■–]/);
  });

  it('lets nothing through that would move the cursor', async () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    expect(await show()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  it('colours only when asked to, and the words stay the same', async () => {
    const [plain, colored] = [await show(), await show({ color: true })];
    expect(colored).toContain('\u001b[31m');
    expect(stripVTControlCharacters(colored)).toBe(plain);
  });

  it('tells debug messages only when verbose', async () => {
    expect(await show()).not.toContain('reading schemas');
    expect(await show({ verbose: true })).toContain('dump: pg_dump: reading schemas');
  });

  it('tells now and then how running steps are doing', async () => {
    const stream = capture();
    const reporter = makeConsoleReporter({ stream, color: false, live: false, progressEveryMs: 20 });
    for (const event of events().slice(0, 6)) reporter.on(event);
    await expect.poll(() => stream.text()).toMatch(/Z dump: 84\.0 MB of 166 MB \(50%\), .*try 2\n/);
    await reporter.close?.();
    const length = stream.text().length;
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(stream.text().length).toBe(length);
  });

  it('survives a reader that goes away', async () => {
    const reporter = makeConsoleReporter({ stream: brokenPipe(), color: false, live: false });
    for (const event of events()) {
      reporter.on(event);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await reporter.close?.();
  });
});

describe('console on a terminal', () => {
  it('shows running steps in place and leaves the finished ones', async () => {
    const stream = capture({ columns: 60 });
    const reporter = makeConsoleReporter({ stream, color: false, live: true, unicode: true });
    const all = events();
    for (const event of all.slice(0, 6)) reporter.on(event);
    await expect
      .poll(() => stripVTControlCharacters(stream.text()))
      .toMatch(/● dump {4}84\.0 MB of 166 MB \(50%\)/);
    expect(stripVTControlCharacters(stream.text())).toContain('then safety, check, load, prune');
    for (const line of stripVTControlCharacters(stream.text()).split('\n')) {
      if (/^ {2}●|^ {4}then/.test(line)) expect(line.length).toBeLessThan(60);
    }
    for (const event of all.slice(6)) reporter.on(event);
    await reporter.close?.();
    const text = stripVTControlCharacters(stream.text());
    expect(text).toContain('  ✓ dump');
    expect(text).toContain('failed: job nightly of crm-license-system');
    const length = stream.text().length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(stream.text().length).toBe(length);
  });

  it('works when the run is over before the terminal library is loaded', async () => {
    const stream = capture({ columns: 80 });
    const reporter = makeConsoleReporter({ stream, color: false, live: true });
    for (const event of events()) reporter.on(event);
    await reporter.close?.();
    expect(stream.text()).toContain('exit code 1');
    await import('log-update');
    await new Promise((resolve) => setImmediate(resolve));
    expect(stream.text()).not.toContain('\u001b[');
  });
});
