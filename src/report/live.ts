/** The part of a terminal that is drawn again and again; what is printed meanwhile goes above it and stays. */
import type { Writable } from 'node:stream';

export interface LiveArea {
  /** Lines that stay. */
  print(lines: readonly string[]): void;
  /** Draws the changing lines now. */
  draw(): void;
  /** Removes the changing lines for good. */
  end(): void;
}

/** Calm: four pictures a second are enough for figures that people read. */
const REDRAW_MS = 250;

/** @param render gives the changing lines for a terminal of that width */
export function liveArea(
  stream: Writable & { readonly columns?: number },
  render: (columns: number) => readonly string[],
): LiveArea {
  let update: ReturnType<typeof import('log-update')['createLogUpdate']> | undefined;
  let ended = false;
  let timer: NodeJS.Timeout | undefined;
  const draw = () => {
    if (!ended) update?.(render(stream.columns ?? 80).join('\n'));
  };
  // Loading it takes longer than many a step; until then there is nothing to keep below the lines that stay.
  void import('log-update').then(({ createLogUpdate }) => {
    if (ended) return;
    update = createLogUpdate(stream);
    timer = setInterval(draw, REDRAW_MS).unref();
    draw();
  });
  return {
    print: (lines) => {
      if (lines.length === 0) return;
      update?.clear();
      stream.write(`${lines.join('\n')}\n`);
      draw();
    },
    draw,
    end: () => {
      ended = true;
      clearInterval(timer);
      update?.clear();
      update?.done();
    },
  };
}
