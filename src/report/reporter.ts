/** The contract of a reporter: it listens to the events of a run and tells someone. It never influences the run. */
import type { RunEvent } from '../runs/record.ts';

export interface Reporter {
  readonly name: string;
  /** Called in order for every event. Must not throw and must not block. */
  on(event: RunEvent): void;
  /** Called once after the last event; what must be flushed or sent is awaited here. */
  close?(): Promise<void>;
}
