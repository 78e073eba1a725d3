import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Backup, ProofKind } from '../../src/repository/manifest.ts';
import { isProven } from '../../src/repository/manifest.ts';
import { type DecideOptions, decide, type Keep } from '../../src/repository/retention.ts';
import { makeManifest } from './fixture.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

interface Sketch {
  readonly id: string;
  readonly at: string | number;
  readonly shown?: Partial<Record<ProofKind, boolean>>;
  readonly label?: string;
  readonly tables?: readonly string[];
}

const PROVEN = { restored: true, checked: true } as const;

function backup({ id, at, shown = {}, label, tables }: Sketch): Backup {
  const startedAt = new Date(at);
  const manifest = makeManifest(
    id,
    'crm',
    startedAt,
    [{ path: 'a', role: 'archive', size: 10, sha256: '0'.repeat(64) }],
    {
      label: label ?? null,
      selection: tables === undefined ? {} : { tables: [...tables] },
    },
  );
  const proofs = Object.entries(shown).map(([kind, passed]) => ({
    proofVersion: 1 as const,
    backup: id,
    kind: kind as ProofKind,
    passed,
    at: new Date(startedAt.getTime() + HOUR).toISOString(),
    run: 'r',
  }));
  return { repository: 'local', manifest, proofs, folder: `crm/${id}` };
}

/** id → reasons of what is kept. */
function kept(sketches: readonly Sketch[], keep: Keep, options: DecideOptions & { now?: string } = {}) {
  const now =
    options.now === undefined
      ? new Date(Math.max(...sketches.map(({ at }) => new Date(at).getTime())))
      : new Date(options.now);
  return Object.fromEntries(
    decide(sketches.map(backup), keep, now, options).flatMap(
      ({ backup: { manifest }, keep: stays, reasons }) => (stays ? [[manifest.id, reasons]] : []),
    ),
  );
}

/** One a day at 02:00 UTC, proven: d1 is the first. */
const nightly = (days: number, from = '2026-01-01T02:00:00Z'): Sketch[] =>
  Array.from({ length: days }, (_, index) => ({
    id: `d${index + 1}`,
    at: Date.parse(from) + index * DAY,
    shown: PROVEN,
  }));

describe('rules', () => {
  test('last', () => {
    expect(kept(nightly(10), { last: 3 })).toEqual({
      d8: ['one of the last 3'],
      d9: ['one of the last 3'],
      d10: ['newest backup', 'newest proven backup', 'one of the last 3'],
    });
  });

  test('within counts from the newest backup, its edge included', () => {
    expect(Object.keys(kept(nightly(10), { within: '2d' }))).toEqual(['d8', 'd9', 'd10']);
    expect(Object.keys(kept(nightly(10), { within: '47h59m' }))).toEqual(['d9', 'd10']);
    // Backups stopped a year ago: age alone deletes nothing.
    expect(Object.keys(kept(nightly(10), { within: '30d' }, { now: '2027-01-10T00:00:00Z' }))).toHaveLength(
      10,
    );
  });

  test('a backup that nobody has looked at does not take the place of the proven one of its day', () => {
    const sketches: Sketch[] = [
      { id: 'night', at: '2026-01-01T02:00:00Z', shown: PROVEN },
      { id: 'safety', at: '2026-01-01T12:00:00Z', label: 'before-restore' },
      { id: 'next', at: '2026-01-02T02:00:00Z', shown: PROVEN },
    ];
    expect(kept(sketches, { daily: 7 })).toEqual({
      night: ['newest proven of 2026-01-01'],
      safety: ['newest of 2026-01-01'],
      next: ['newest backup', 'newest proven backup', 'newest of 2026-01-02'],
    });
  });

  test('one night with a clock that is a year ahead makes nothing old, proven or not', () => {
    const jumped = { id: 'jumped', at: '2027-01-11T02:00:00Z', shown: PROVEN };
    expect(Object.keys(kept([...nightly(10), jumped], { within: '30d' }))).toHaveLength(11);
    // Backups that really had stopped: the second new one lets go of the old ones.
    const next = { id: 'next', at: '2027-01-12T02:00:00Z', shown: PROVEN };
    expect(Object.keys(kept([...nightly(10), jumped, next], { within: '30d' }))).toEqual(['jumped', 'next']);
  });

  test('proven', () => {
    const sketches = nightly(6).map((sketch, index) => (index % 2 === 0 ? sketch : { ...sketch, shown: {} }));
    expect(kept(sketches, { proven: 2 })).toEqual({
      d3: ['proven 2 of 2'],
      d5: ['newest proven backup', 'proven 1 of 2'],
      d6: ['newest backup'],
    });
  });

  test('only proofs that still hold count', () => {
    const shown: Sketch['shown'][] = [
      PROVEN,
      { ...PROVEN, verified: false },
      { ...PROVEN, identical: false },
      { restored: true },
      { checked: true },
      { restored: true, checked: false },
      { restored: false, checked: true },
      { verified: true },
    ];
    const sketches = shown.map((each, index) => ({
      id: `b${index}`,
      at: Date.UTC(2026, 0, index + 1),
      shown: each,
    }));
    expect(kept(sketches, { proven: 5 })).toEqual({
      b0: ['newest proven backup', 'proven 1 of 5'],
      b7: ['newest backup'],
    });
  });

  test('daily, weekly, monthly and yearly take the newest of each period, and say which', () => {
    const sketches: Sketch[] = [
      { id: 'xmas', at: '2024-12-25T02:00:00Z', shown: PROVEN },
      { id: 'may', at: '2025-05-10T02:00:00Z', shown: PROVEN },
      { id: 'oct', at: '2026-10-31T02:00:00Z', shown: PROVEN },
      { id: 'mon', at: '2026-11-23T02:00:00Z', shown: PROVEN },
      { id: 'tueEarly', at: '2026-11-24T02:00:00Z', shown: PROVEN },
      { id: 'tueLate', at: '2026-11-24T14:00:00Z', shown: PROVEN },
    ];
    expect(kept(sketches, { daily: 2, weekly: 2, monthly: 2, yearly: 5 })).toEqual({
      xmas: ['newest of 2024'],
      may: ['newest of 2025'],
      oct: ['newest of week 2026-W44', 'newest of 2026-10'],
      mon: ['newest of 2026-11-23'],
      tueLate: [
        'newest backup',
        'newest proven backup',
        'newest of 2026-11-24',
        'newest of week 2026-W48',
        'newest of 2026-11',
        'newest of 2026',
      ],
    });
  });

  test('daily counts days that have a backup, so a gap costs nothing', () => {
    const sketches = nightly(30).filter((_, index) => index % 10 === 0);
    expect(Object.keys(kept(sketches, { daily: 3 }))).toEqual(['d1', 'd11', 'd21']);
  });

  test('periods begin at midnight of the plan’s zone', () => {
    const sketches: Sketch[] = [
      { id: 'a', at: '2026-11-23T22:30:00Z', shown: PROVEN },
      { id: 'b', at: '2026-11-23T23:30:00Z', shown: PROVEN },
      { id: 'c', at: '2026-11-24T22:30:00Z', shown: PROVEN },
    ];
    expect(Object.keys(kept(sketches, { daily: 2 }))).toEqual(['b', 'c']);
    expect(Object.keys(kept(sketches, { daily: 2 }, { timezone: 'Europe/Berlin' }))).toEqual(['a', 'c']);
  });

  test('the hour that comes twice in autumn belongs to one day', () => {
    const sketches = [0, 1, 2, 3].map((hour) => ({
      id: `h${hour}`,
      at: Date.parse('2026-10-25T00:15:00Z') + hour * HOUR,
      shown: PROVEN,
    }));
    expect(kept(sketches, { daily: 3 }, { timezone: 'Europe/Berlin' })).toEqual({
      h3: ['newest backup', 'newest proven backup', 'newest of 2026-10-25'],
    });
  });

  test('labels change nothing', () => {
    const sketches = nightly(5).map((sketch, index) =>
      index === 1 ? { ...sketch, label: 'before-restore' } : sketch,
    );
    expect(Object.keys(kept(sketches, { last: 2 }))).toEqual(['d4', 'd5']);
  });
});

describe('a bad backup never takes the place of a good one', () => {
  const bad = { restored: true, checked: false } as const;

  test('of its day', () => {
    const sketches: Sketch[] = [
      { id: 'good', at: '2026-11-23T02:00:00Z', shown: PROVEN },
      { id: 'bad', at: '2026-11-23T14:00:00Z', shown: bad },
      { id: 'today', at: '2026-11-24T02:00:00Z', shown: PROVEN },
    ];
    expect(kept(sketches, { daily: 2 })).toEqual({
      good: ['newest proven of 2026-11-23', 'newest of 2026-11-23 without a failed proof'],
      bad: ['newest of 2026-11-23'],
      today: ['newest backup', 'newest proven backup', 'newest of 2026-11-24'],
    });
  });

  test('of the last N: a week of failures does not push out the good ones', () => {
    const sketches = nightly(14).map((sketch, index) => (index < 7 ? sketch : { ...sketch, shown: bad }));
    expect(Object.keys(kept(sketches, { last: 3 }))).toEqual(['d5', 'd6', 'd7', 'd12', 'd13', 'd14']);
  });

  test('while failures are bounded, too', () => {
    const sketches = nightly(100).map((sketch) => ({ ...sketch, shown: bad }));
    expect(Object.keys(kept(sketches, { daily: 7 }))).toHaveLength(7);
  });
});

describe('what always stays', () => {
  test('the newest backup and the newest proven one', () => {
    const sketches = nightly(60).map((sketch, index) =>
      index === 4 ? sketch : { ...sketch, shown: { verified: true } },
    );
    expect(kept(sketches, { last: 1 })).toEqual({
      d5: ['newest proven backup'],
      d60: ['newest backup', 'one of the last 1'],
    });
  });

  test('the newest three while none is proven, and it says so', () => {
    const sketches = nightly(10).map((sketch) => ({ ...sketch, shown: { verified: true } }));
    expect(kept(sketches, { proven: 3 })).toEqual({
      d8: ['one of the newest 3, none being proven yet'],
      d9: ['one of the newest 3, none being proven yet'],
      d10: ['newest backup', 'one of the newest 3, none being proven yet'],
    });
  });

  test('whole backups, when partial ones are newer', () => {
    const sketches: Sketch[] = [
      { id: 'night1', at: '2026-11-23T02:00:00Z', shown: PROVEN },
      { id: 'night2', at: '2026-11-24T02:00:00Z', shown: PROVEN },
      { id: 'noon1', at: '2026-11-24T11:00:00Z', shown: PROVEN, tables: ['User'] },
      { id: 'noon2', at: '2026-11-24T12:00:00Z', shown: PROVEN, tables: ['User'] },
      { id: 'noon3', at: '2026-11-24T13:00:00Z', shown: PROVEN, tables: ['Role', 'User'] },
      { id: 'noon4', at: '2026-11-24T14:00:00Z', shown: PROVEN, tables: ['User', 'Role'] },
    ];
    expect(Object.keys(kept(sketches, { last: 1 }))).toEqual(['night2', 'noon2', 'noon4']);
  });

  test('what a kept backup needs, and what that needs', () => {
    const needs: Record<string, string[]> = { d10: ['d7'], d7: ['d2'], d2: ['d7'], d9: ['gone'] };
    expect(kept(nightly(10), { last: 1 }, { dependsOn: ({ manifest }) => needs[manifest.id] ?? [] })).toEqual(
      {
        d2: ['needed by d7'],
        d7: ['needed by d10', 'needed by d2'],
        d10: ['newest backup', 'newest proven backup', 'one of the last 1'],
      },
    );
  });
});

describe('refusals: nothing is deleted', () => {
  const refused = (
    sketches: readonly Sketch[],
    keep: Record<string, unknown>,
    options: DecideOptions & { now?: string } = {},
  ) => {
    const now = new Date(options.now ?? '2026-06-01T00:00:00Z');
    try {
      decide(sketches.map(backup), keep, now, options);
    } catch (error) {
      return error;
    }
    throw new Error('it decided');
  };

  test.each([{}, { last: undefined }, { within: null }])('no rule: %j', (keep) => {
    expect(refused(nightly(5), keep)).toMatchObject({
      code: 'RETENTION_REFUSED',
      message: expect.stringContaining('no rule'),
      hint: expect.stringContaining('within: 30d'),
    });
  });

  test('a backup from the far future', () => {
    expect(refused([...nightly(3), { id: 'odd', at: '2031-01-01T00:00:00Z' }], { last: 1 })).toMatchObject({
      code: 'RETENTION_REFUSED',
      message: expect.stringContaining(
        'odd was started at 2031-01-01T00:00:00Z, but it is 2026-06-01T00:00:00Z now: the clock looks wrong',
      ),
      hint: expect.stringContaining('timedatectl'),
    });
  });

  test('a clock that stands before the newest backup', () => {
    expect(refused(nightly(3), { last: 1 }, { now: '2026-01-03T01:59:00Z' })).toMatchObject({
      code: 'RETENTION_REFUSED',
      hint: expect.stringContaining('wait 1m'),
    });
    expect(Object.keys(kept(nightly(3), { last: 1 }, { now: '2026-01-03T02:00:00Z' }))).toEqual(['d3']);
  });

  test('a catalog with broken entries', () => {
    expect(
      refused(
        nightly(3),
        { last: 1 },
        { broken: [{ folder: 'crm/crm-x', reason: 'its manifest.json is damaged' }] },
      ),
    ).toMatchObject({
      code: 'RETENTION_REFUSED',
      message: expect.stringContaining('crm/crm-x: its manifest.json is damaged'),
      hint: expect.stringContaining('move it out'),
    });
  });

  test('several databases at once', () => {
    const other = {
      ...backup({ id: 's1', at: 0 }),
      manifest: { ...backup({ id: 's1', at: 0 }).manifest, database: 'shop' },
    };
    expect(() => decide([backup({ id: 'a', at: 0 }), other], { last: 1 }, new Date(1))).toThrow(
      expect.objectContaining({ code: 'RETENTION_REFUSED' }),
    );
  });

  test.each([
    { last: 0 },
    { last: -1 },
    { last: 1.5 },
    { last: '3' },
    { daily: Number.NaN },
    { within: 30 },
    { within: '0d' },
    { within: 'a month' },
    { latest: 3 },
  ])('a rule that makes no sense: %j', (keep) => {
    expect(refused(nightly(5), keep)).toMatchObject({ code: 'INPUT_INVALID' });
  });

  test('nothing there is nothing to do', () => {
    expect(decide([], { last: 1 }, new Date())).toEqual([]);
  });
});

describe('invariants', () => {
  const sketches = fc.array(
    fc.record({
      hours: fc.integer({ min: 0, max: 24 * 900 }),
      shown: fc.constantFrom<Sketch['shown']>(
        {},
        PROVEN,
        { verified: true },
        { ...PROVEN, verified: false },
        { restored: true, checked: false },
      ),
      tables: fc.option(fc.constantFrom(['User'], ['User', 'Role']), { nil: undefined, freq: 8 }),
    }),
    { minLength: 1, maxLength: 60 },
  );
  const rule = fc.integer({ min: 1, max: 8 });
  const policies: fc.Arbitrary<Keep> = fc
    .record(
      {
        last: rule,
        daily: rule,
        weekly: rule,
        monthly: rule,
        yearly: rule,
        proven: rule,
        within: fc.integer({ min: 1, max: 400 }).map((days) => `${days}d`),
      },
      { requiredKeys: [] },
    )
    .filter((keep) => Object.keys(keep).length > 0);
  const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe');
  const NOW = new Date(Date.UTC(2026, 0, 1) + 900 * DAY);
  const make = (all: { hours: number; shown: Sketch['shown']; tables: readonly string[] | undefined }[]) =>
    all.map(({ hours, shown, tables }, index) =>
      backup({
        id: `b${String(index).padStart(3, '0')}`,
        at: Date.UTC(2026, 0, 1) + hours * HOUR,
        shown,
        tables,
      }),
    );
  const stays = (backups: readonly Backup[], keep: Keep, timezone: string) =>
    decide(backups, keep, NOW, { timezone })
      .filter((decision) => decision.keep)
      .map((decision) => decision.backup);

  test('every backup has one decision with a reason, oldest first, whatever the order they come in', () => {
    fc.assert(
      fc.property(sketches, policies, zones, fc.integer(), (all, keep, timezone, seed) => {
        const backups = make(all);
        const decisions = decide(backups, keep, NOW, { timezone });
        expect(decisions.map(({ backup: each }) => each.manifest.id).sort()).toEqual(
          backups.map(({ manifest }) => manifest.id).sort(),
        );
        expect(decisions.every(({ reasons }) => reasons.length > 0)).toBe(true);
        const shuffled = [...backups].sort((a, b) => hash(a.manifest.id, seed) - hash(b.manifest.id, seed));
        expect(decide(shuffled, keep, NOW, { timezone })).toEqual(decisions);
      }),
    );
  });

  test('the newest, the newest proven and everything within stay', () => {
    fc.assert(
      fc.property(sketches, policies, zones, (all, keep, timezone) => {
        const backups = make(all);
        const ids = new Set(stays(backups, keep, timezone).map(({ manifest }) => manifest.id));
        const sorted = [...backups].sort(
          (a, b) =>
            Date.parse(a.manifest.startedAt) - Date.parse(b.manifest.startedAt) ||
            (a.manifest.id < b.manifest.id ? -1 : 1),
        );
        const newest = sorted.at(-1);
        const proven = sorted.filter(isProven).at(-1);
        expect(newest !== undefined && ids.has(newest.manifest.id)).toBe(true);
        if (proven !== undefined) expect(ids.has(proven.manifest.id)).toBe(true);
        if (keep.within === undefined) return;
        const limit = NOW.getTime() - Number.parseInt(keep.within, 10) * DAY;
        for (const { manifest } of backups)
          if (Date.parse(manifest.startedAt) >= limit) expect(ids.has(manifest.id)).toBe(true);
      }),
    );
  });

  test('one more rule, or a bigger number, never deletes more', () => {
    fc.assert(
      fc.property(sketches, policies, policies, zones, (all, keep, more, timezone) => {
        const backups = make(all);
        const wider: Record<string, unknown> = { ...more, ...keep };
        for (const [key, value] of Object.entries(keep))
          if (typeof value === 'number') wider[key] = value + 1;
        const before = stays(backups, keep, timezone).map(({ manifest }) => manifest.id);
        const after = new Set(stays(backups, wider as Keep, timezone).map(({ manifest }) => manifest.id));
        for (const id of before) expect(after.has(id)).toBe(true);
      }),
    );
  });

  test('deciding again about what was kept deletes nothing', () => {
    fc.assert(
      fc.property(sketches, policies, zones, (all, keep, timezone) => {
        const once = stays(make(all), keep, timezone);
        expect(stays(once, keep, timezone)).toEqual(once);
      }),
    );
  });

  test('backups of equal start: the same one stays every time', () => {
    const twins = ['b', 'a', 'c'].map((id) => ({ id, at: '2026-01-01T00:00:00Z', shown: PROVEN }));
    expect(Object.keys(kept(twins, { last: 1 }))).toEqual(['c']);
    expect(Object.keys(kept(twins.toReversed(), { daily: 1 }))).toEqual(['c']);
  });
});

describe('years of nightly backups, pruned every night', () => {
  /** Simulates and returns what is left at the end and the most there ever was. */
  function simulate(
    days: number,
    keep: Keep,
    options: { timezone?: string; hour?: number; proven?: (day: number) => boolean } = {},
  ) {
    const { timezone = 'UTC', hour = 2, proven = () => true } = options;
    let live: Backup[] = [];
    let most = 0;
    for (let day = 0; day < days; day++) {
      const at = Date.UTC(2024, 0, 1, hour) + day * DAY;
      live.push(backup({ id: `n${String(day).padStart(5, '0')}`, at, shown: proven(day) ? PROVEN : {} }));
      live = decide(live, keep, new Date(at + HOUR), { timezone })
        .filter((decision) => decision.keep)
        .map((decision) => decision.backup);
      most = Math.max(most, live.length);
    }
    return { left: live.map(({ manifest }) => manifest.startedAt.slice(0, 10)), most };
  }

  test('grandfather, father, son: 7 days, 4 weeks, 12 months, 5 years after three years', () => {
    const { left, most } = simulate(3 * 366, { daily: 7, weekly: 4, monthly: 12, yearly: 5 });
    // The last night is 2027-01-02, a Saturday of week 2026-W53.
    expect(left).toEqual([
      '2024-12-31',
      '2025-12-31',
      '2026-02-28',
      '2026-03-31',
      '2026-04-30',
      '2026-05-31',
      '2026-06-30',
      '2026-07-31',
      '2026-08-31',
      '2026-09-30',
      '2026-10-31',
      '2026-11-30',
      '2026-12-13',
      '2026-12-20',
      '2026-12-27',
      '2026-12-28',
      '2026-12-29',
      '2026-12-30',
      '2026-12-31',
      '2027-01-01',
      '2027-01-02',
    ]);
    expect(most).toBeLessThanOrEqual(7 + 4 + 12 + 5);
  });

  test('within 30 days and three proven, when proofs stop half-way', () => {
    const { left, most } = simulate(400, { within: '30d', proven: 3 }, { proven: (day) => day < 200 });
    expect(left).toHaveLength(31 + 3);
    expect(left.slice(0, 3)).toEqual(['2024-07-16', '2024-07-17', '2024-07-18']);
    expect(most).toBe(34);
  });

  test.each(['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Europe/Dublin'])(
    'in %s no day is lost or doubled when clocks change',
    (timezone) => {
      // Around local midnight: the worst hours.
      for (const hour of [0, 4, 12, 14, 22, 23]) {
        const nights = nightly(1500, new Date(Date.UTC(2024, 0, 1, hour)).toISOString());
        const left = Object.keys(kept(nights, { daily: 1500 }, { timezone }));
        // Where a fixed hour in UTC is near local midnight, the change of clocks puts two nights on one day, twice a year.
        expect(left.length).toBeGreaterThanOrEqual(1500 - 5);
        expect(Object.keys(kept(nights, { daily: 700 }, { timezone })).length).toBe(700);
      }
    },
  );

  test('a single rule of one keeps one, for years', () => {
    expect(simulate(700, { last: 1 }).left).toEqual(['2025-11-30']);
  });
});

test('a table of decisions', async () => {
  const sketches: Sketch[] = [
    { id: 'crm-20250601T020000Z-aaaa', at: '2025-06-01T02:00:00Z', shown: PROVEN },
    { id: 'crm-20260131T020000Z-aaab', at: '2026-01-31T02:00:00Z', shown: PROVEN },
    { id: 'crm-20261031T020000Z-aaac', at: '2026-10-31T02:00:00Z', shown: PROVEN },
    { id: 'crm-20261101T020000Z-aaad', at: '2026-11-01T02:00:00Z' },
    {
      id: 'crm-20261120T020000Z-aaae',
      at: '2026-11-20T02:00:00Z',
      shown: { restored: true, checked: false },
    },
    { id: 'crm-20261120T140000Z-aaaf', at: '2026-11-20T14:00:00Z', label: 'before-restore' },
    { id: 'crm-20261122T020000Z-aaag', at: '2026-11-22T02:00:00Z', shown: PROVEN },
    { id: 'crm-20261123T020000Z-aaah', at: '2026-11-23T02:00:00Z', shown: { restored: true } },
    { id: 'crm-20261123T120000Z-aaai', at: '2026-11-23T12:00:00Z', tables: ['User'] },
    { id: 'crm-20261124T020000Z-aaaj', at: '2026-11-24T02:00:00Z', shown: { ...PROVEN, identical: false } },
  ];
  const policies: Keep[] = [
    { last: 1 },
    { within: '30d', proven: 3 },
    { daily: 3, weekly: 2, monthly: 2, yearly: 2 },
  ];
  const lines = policies.flatMap((keep) => [
    `keep ${JSON.stringify(keep)} at 2026-11-24T03:00:00Z, Europe/Berlin`,
    ...decide(sketches.map(backup), keep, new Date('2026-11-24T03:00:00Z'), {
      timezone: 'Europe/Berlin',
    }).map(
      ({ backup: { manifest }, keep: stay, reasons }) =>
        `  ${stay ? 'keep  ' : 'delete'} ${manifest.id}  ${reasons.join('; ')}`,
    ),
    '',
  ]);
  await expect(lines.join('\n')).toMatchFileSnapshot(
    join(import.meta.dirname, '..', 'golden', 'retention.golden'),
  );
});

function hash(text: string, seed: number): number {
  let value = seed | 0;
  for (const letter of text) value = Math.imul(value ^ letter.charCodeAt(0), 0x01000193);
  return value;
}
