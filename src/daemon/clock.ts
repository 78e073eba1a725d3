/** Looks at the clock and tells when it did not simply go on: a machine that slept, a clock that was set. */
import { LATE_MS } from './due.ts';

export interface Look {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** By how much the wall clock moved by itself since the last look: ahead (sleep counts) or back; 0 when it did not. */
  readonly jumpedMs: number;
  /** By the wall clock nobody looked for longer than a firing may be late. */
  readonly absent: boolean;
}

/** The wall clock may differ from the one that only counts by so much before it is called a jump. */
const JUMP_MS = 2000;

/**
 * @param wall milliseconds since 1970
 * @param monotonic milliseconds of a clock that nobody sets; it stands still while the machine sleeps
 */
export function makeClock(wall: () => number, monotonic: () => number): () => Look {
  let last = { wall: wall(), monotonic: monotonic() };
  return () => {
    const next = { wall: wall(), monotonic: monotonic() };
    const passed = next.wall - last.wall;
    const jumped = Math.round(passed - (next.monotonic - last.monotonic));
    last = next;
    return {
      now: next.wall,
      jumpedMs: Math.abs(jumped) > JUMP_MS ? jumped : 0,
      absent: passed > LATE_MS,
    };
  };
}
