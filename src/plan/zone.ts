/** Time zones: whether a name is one, and when its clocks are changed. */
import { suggest } from '../suggest.ts';

/** What is wrong with the name of a time zone; undefined when it exists. Offsets are refused: they know no summer. */
export function timeZoneProblem(zone: string): { message: string; hint: string } | undefined {
  // The default needs no look into the time zone data, which takes some milliseconds to load.
  if (zone === 'UTC') return undefined;
  if (/^[A-Za-z]/.test(zone) && !/^(local|system)$/i.test(zone)) {
    try {
      new Intl.DateTimeFormat('en', { timeZone: zone });
      return undefined;
    } catch {
      // Not a zone: said below.
    }
  }
  const known = Intl.supportedValuesOf('timeZone');
  const near =
    suggest(zone, known) ?? known.find((each) => each.toLowerCase().endsWith(`/${zone.toLowerCase()}`));
  return {
    message: `unknown time zone "${zone}"${near === undefined ? '' : `, did you mean "${near}"?`}`,
    hint: 'Write an IANA name such as Europe/Berlin, America/New_York or UTC.',
  };
}

/** The clocks of a zone are set from one offset to another at an instant. Milliseconds throughout. */
export interface ClockChange {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

export interface Zone {
  readonly name: string;
  /** What is added to UTC to get the local time. */
  offsetAt(instant: number): number;
  /** The first change of clocks later than an instant; undefined when none is known. */
  changeAfter(instant: number): ClockChange | undefined;
}

/** Loads the time zone data; zones are then made without waiting, and the same zone is shared by all who ask. */
export async function loadZones(): Promise<(name: string) => Zone> {
  const { Temporal } = await import('temporal-polyfill');
  const zones = new Map<string, Zone>();
  return (name) => {
    const known = zones.get(name);
    if (known !== undefined) return known;
    const at = (instant: number) => Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(name);
    const zone = makeZone(
      name,
      (instant) => Math.round(at(instant).offsetNanoseconds / 1e6),
      (instant) => at(instant).getTimeZoneTransition('next')?.epochMilliseconds,
    );
    zones.set(name, zone);
    return zone;
  };
}

/** Remembers the changes between the earliest and the latest instant that it was asked about. */
function makeZone(
  name: string,
  lookUpOffset: (instant: number) => number,
  lookUpNext: (instant: number) => number | undefined,
): Zone {
  let changes: ClockChange[] = [];
  let start = Number.POSITIVE_INFINITY;
  let startOffset = 0;
  /** Everything up to here is known. */
  let end = Number.NEGATIVE_INFINITY;
  const reach = (instant: number) => {
    if (instant < start) {
      changes = [];
      // Some slack, so that questions a little earlier do not begin again.
      start = instant - 40 * 86_400_000;
      startOffset = lookUpOffset(start);
      end = start;
    }
    while (end <= instant) {
      const at = lookUpNext(end);
      if (at === undefined) {
        end = Number.POSITIVE_INFINITY;
        return;
      }
      const before = changes.at(-1)?.after ?? startOffset;
      const after = lookUpOffset(at);
      // Some changes are of name only.
      if (after !== before) changes.push({ at, before, after });
      end = at;
    }
  };
  /** How many changes are at or before an instant. */
  const passed = (instant: number) => {
    let [low, high] = [0, changes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((changes[middle]?.at ?? 0) <= instant) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    name,
    offsetAt: (instant) => {
      reach(instant);
      return changes[passed(instant) - 1]?.after ?? startOffset;
    },
    changeAfter: (instant) => {
      reach(instant);
      // `end` is the last change that was looked up, so the next one is known unless it changed nothing but the name.
      for (;;) {
        const next = changes[passed(instant)];
        if (next !== undefined || end === Number.POSITIVE_INFINITY) return next;
        reach(end);
      }
    },
  };
}
