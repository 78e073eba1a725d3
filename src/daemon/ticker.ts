/** The pulse of the daemon, once a second by node-cron. */
import { schedule } from 'node-cron';

/** How long without a pulse before the watchdog helps out. */
const SILENCE_MS = 5000;

/**
 * Calls `tick` every second until the returned function is called. A tick must not wait for anything: the library
 * would drop the next ones. Should its timer ever fall silent, a plain one takes over.
 */
export function startTicker(tick: () => void): () => void {
  let last = performance.now();
  const beat = () => {
    last = performance.now();
    tick();
  };
  const task = schedule('* * * * * *', beat, {
    timezone: 'Etc/UTC',
    // A pulse that comes late is as good as the next one; nothing is lost, because the agenda looks back.
    suppressMissedWarning: true,
  });
  const watchdog = setInterval(() => {
    if (performance.now() - last >= SILENCE_MS) beat();
  }, SILENCE_MS);
  return () => {
    clearInterval(watchdog);
    void task.destroy();
  };
}
