/** The schema of the run journal, version by version. A released entry is never edited; a change is a new entry. */

/** "BPLJ" as a number: tells our journal from other SQLite files. */
export const JOURNAL_APPLICATION_ID = 0x42504c4a;

export const JOURNAL_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    plan        TEXT NOT NULL,
    plan_file   TEXT NOT NULL,
    job         TEXT NOT NULL,
    status      TEXT NOT NULL,
    exit_code   INTEGER,
    verdict     TEXT,
    trigger     TEXT NOT NULL,
    inputs      TEXT NOT NULL,
    started_at  TEXT NOT NULL,
    ended_at    TEXT,
    duration_ms INTEGER,
    error       TEXT,
    log_file    TEXT,
    host        TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    -- who runs it, precise enough to know later whether that process still lives
    identity    TEXT NOT NULL,
    -- last sign of life, for readers on other hosts and for the end of an interrupted run
    beat_at     TEXT NOT NULL
  ) STRICT;
  CREATE INDEX runs_by_start ON runs (started_at);
  CREATE INDEX runs_by_job ON runs (plan, job, started_at);
  CREATE INDEX runs_by_status ON runs (status);

  CREATE TABLE steps (
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name     TEXT NOT NULL,
    status   TEXT NOT NULL,
    record   TEXT NOT NULL,
    PRIMARY KEY (run, name)
  ) STRICT, WITHOUT ROWID;

  -- what must not outlive its run: written before the thing is made, marked when it is gone
  CREATE TABLE owned (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run         TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    thing       TEXT NOT NULL,
    owned_at    TEXT NOT NULL,
    released_at TEXT
  ) STRICT;
  CREATE INDEX owned_open ON owned (run) WHERE released_at IS NULL;
  `,
  `
  -- the instant of the firing that a run of the daemon is for
  ALTER TABLE runs ADD COLUMN scheduled_for TEXT;

  -- scheduled jobs as the daemon last saw them; a change of the definition starts anew and owes nothing of the past
  CREATE TABLE schedules (
    plan          TEXT NOT NULL,
    job           TEXT NOT NULL,
    definition    TEXT NOT NULL,
    -- firings up to this instant are dealt with: run, left out, or recorded as missed
    handled_until TEXT NOT NULL,
    PRIMARY KEY (plan, job)
  ) STRICT, WITHOUT ROWID;

  -- one line for a firing that was claimed, so that none is run twice whatever clocks and restarts do
  CREATE TABLE slots (
    plan       TEXT NOT NULL,
    job        TEXT NOT NULL,
    instant    TEXT NOT NULL,
    run        TEXT NOT NULL,
    trigger    TEXT NOT NULL,
    -- claimed, overlapped (not run), cut (the daemon ended before its run did), missed (cut and not made up for)
    state      TEXT NOT NULL,
    -- how often it was claimed: a firing that was cut is made up for once
    claims     INTEGER NOT NULL,
    claimed_at TEXT NOT NULL,
    -- the run that an overlapped one met
    other      TEXT,
    PRIMARY KEY (plan, job, instant)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX slots_by_claim ON slots (claimed_at);

  -- firings that came to nothing: a stretch of them is one line
  CREATE TABLE missed (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    plan       TEXT NOT NULL,
    job        TEXT NOT NULL,
    oldest     TEXT NOT NULL,
    newest     TEXT NOT NULL,
    count      INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    noticed_at TEXT NOT NULL
  ) STRICT;
  CREATE INDEX missed_by_plan ON missed (plan, noticed_at);
  `,
];
