/** An event store: jsonb, arrays, ranges, exclusion constraints, domains, enums, large texts, bytea, large objects. */
import { createDatabase } from '../../helpers/database.ts';
import { byPrint, bySuite, type Subject } from './damage.ts';

const SCHEMA = `
CREATE EXTENSION btree_gist;
CREATE EXTENSION pg_trgm;
CREATE SCHEMA es;
CREATE TYPE es.kind AS ENUM ('created', 'changed', 'deleted');
CREATE TYPE es.point AS (x double precision, y double precision);
CREATE TYPE es.unused AS (x text, y double precision);
CREATE TYPE es.span AS RANGE (SUBTYPE = numeric);
CREATE DOMAIN es.sha AS bytea CHECK (octet_length(VALUE) = 32);
CREATE DOMAIN es.version AS bigint NOT NULL CONSTRAINT "from 1" CHECK (VALUE >= 1);
CREATE DOMAIN es.label AS varchar(30) COLLATE "C" DEFAULT 'none';
CREATE TABLE es.stream (id uuid PRIMARY KEY, category text NOT NULL, head es.version, tags text[] NOT NULL DEFAULT '{}', label es.label);
CREATE TABLE es.event (
  stream uuid NOT NULL REFERENCES es.stream (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, version es.version, position bigserial UNIQUE,
  kind es.kind NOT NULL, at timestamptz NOT NULL, body jsonb NOT NULL, meta json, hash es.sha, blob bytea, trail es.point[], numbers numeric[],
  PRIMARY KEY (stream, version));
CREATE TABLE es.booking (
  id int PRIMARY KEY, room text NOT NULL, during tstzrange NOT NULL, price es.span, days datemultirange,
  CONSTRAINT "no two at once" EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (NOT isempty(during)) DEFERRABLE);
CREATE TABLE es.snapshot (stream uuid PRIMARY KEY REFERENCES es.stream (id), state jsonb, rendered text, document oid, search tsvector, doc xml, bits bit varying);
CREATE INDEX event_body ON es.event USING gin (body jsonb_path_ops);
CREATE INDEX event_time ON es.event USING brin (at) WITH (pages_per_range = 8);
CREATE INDEX stream_tags ON es.stream USING gin (tags);
CREATE INDEX snapshot_trigram ON es.snapshot USING gin (rendered gin_trgm_ops) WHERE rendered <> '';
CREATE INDEX event_expression ON es.event ((body ->> 'user'), (body -> 'n'));
CREATE FUNCTION es.head(uuid) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT max(version) FROM es.event WHERE stream = $1';
CREATE FUNCTION es.no_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'events stay'; END $$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON es.event FOR EACH STATEMENT EXECUTE FUNCTION es.no_change();
ALTER TABLE es.event ENABLE ALWAYS TRIGGER immutable;
ALTER TABLE es.event ALTER body SET COMPRESSION pglz, ALTER blob SET STORAGE EXTERNAL;
ALTER TABLE es.stream REPLICA IDENTITY USING INDEX stream_pkey;
CREATE PUBLICATION events FOR TABLE es.event WITH (publish = 'insert');
CREATE STATISTICS es.kinds (mcv) ON kind, stream FROM es.event;
INSERT INTO es.stream SELECT md5('s' || n)::uuid, 'c' || n % 4, n % 25 + 1, ARRAY['a' || n % 3, 'b'], CASE WHEN n % 2 = 0 THEN 'l' || n END FROM generate_series(1, 40) n;
INSERT INTO es.event (stream, version, kind, at, body, meta, hash, blob, trail, numbers)
  SELECT md5('s' || n)::uuid, v, (ARRAY['created', 'changed', 'deleted'])[CASE v WHEN 1 THEN 1 ELSE 2 END]::es.kind, '2026-01-01Z'::timestamptz + (n * 31 + v) * interval '61 seconds',
    jsonb_build_object('n', n, 'v', v, 'user', 'u' || n % 9, 'amount', 1.50, 'text', repeat('x', n)),
    CASE WHEN v % 2 = 0 THEN json_build_object('a', v, 'b', NULL) END, sha256(('h' || n || v)::bytea), decode(repeat(lpad(to_hex((n + v) % 256), 2, '0'), n * 10), 'hex'),
    ARRAY[ROW(n, v)::es.point, NULL], ARRAY[n, NULL, v / 3.0]
  FROM generate_series(1, 40) n, generate_series(1, 12) v;
INSERT INTO es.booking SELECT n, 'room ' || n % 5, tstzrange('2026-01-01Z'::timestamptz + n * interval '1 day', '2026-01-01Z'::timestamptz + n * interval '1 day 1 hour'),
  es.span(n, n + 0.5), datemultirange(daterange('2026-01-01', '2026-01-03'), daterange('2026-02-01'::date + n, NULL)) FROM generate_series(1, 60) n;
INSERT INTO es.booking VALUES (99, 'room 1', 'empty', 'empty', '{}');
INSERT INTO es.snapshot SELECT id, jsonb_build_object('deep', jsonb_build_object('list', jsonb_build_array(1, 2, head))),
    CASE WHEN head % 5 = 0 THEN NULL WHEN head % 5 = 1 THEN '' ELSE repeat('rendered ☃ ' || head, 2000) END,
    lo_from_bytea(0, convert_to(repeat('document ' || head, 1000), 'UTF8')), to_tsvector('simple', 'one two ' || head), xmlparse(CONTENT '<a>' || head || '</a>'), repeat('10', head::int)::bit varying
  FROM es.stream WHERE head % 3 = 0;
`;

export const events: Subject = {
  name: 'events',
  create: () => createDatabase('mutevents', SCHEMA),
  damages: [
    ...byPrint({
      'an event lost': `ALTER TABLE es.event DISABLE TRIGGER immutable; DELETE FROM es.event WHERE position = 77; ALTER TABLE es.event ENABLE ALWAYS TRIGGER immutable`,
      'a key deep in jsonb': `UPDATE es.snapshot SET state = jsonb_set(state, '{deep,list,1}', '3') WHERE stream = (SELECT min(stream::text)::uuid FROM es.snapshot)`,
      'a trailing zero in jsonb': `ALTER TABLE es.event DISABLE TRIGGER immutable; UPDATE es.event SET body = jsonb_set(body, '{amount}', '1.5') WHERE position = 5; ALTER TABLE es.event ENABLE ALWAYS TRIGGER immutable`,
      'an element of an array NULL': `UPDATE es.stream SET tags = ARRAY[NULL, 'b'] WHERE id = md5('s3')::uuid`,
      'lower bounds of an array': `UPDATE es.stream SET tags = '[0:1]={a0,b}' WHERE id = md5('s3')::uuid`,
      'a byte far inside a large text': `UPDATE es.snapshot SET rendered = overlay(rendered PLACING 'X' FROM 12345 FOR 1) WHERE stream = (SELECT min(stream::text)::uuid FROM es.snapshot WHERE length(rendered) > 20000)`,
      'a byte of a large object': `SELECT lo_put(document, 5000, '\\x00') FROM es.snapshot ORDER BY stream LIMIT 1`,
      'large objects swapped between rows': `UPDATE es.snapshot a SET document = b.document FROM es.snapshot b WHERE (a.stream, b.stream) IN (SELECT x.s, y.s FROM (SELECT min(stream::text)::uuid AS s FROM es.snapshot) x, (SELECT max(stream::text)::uuid AS s FROM es.snapshot) y)`,
      'an inclusive bound': `UPDATE es.booking SET price = numrange(1, 1.5, '[]')::text::es.span WHERE id = 1`,
      'a range that is empty': `UPDATE es.booking SET during = 'empty' WHERE id = 7`,
      'a range of a multirange': `UPDATE es.booking SET days = days - datemultirange(daterange('2026-01-02', '2026-01-03')) WHERE id = 7`,
      'a word of a text search vector': `UPDATE es.snapshot SET search = to_tsvector('simple', 'one two') WHERE stream = (SELECT min(stream::text)::uuid FROM es.snapshot)`,
      'a bit': `UPDATE es.snapshot SET bits = ~bits WHERE stream = (SELECT min(stream::text)::uuid FROM es.snapshot)`,
      'the text of xml': `UPDATE es.snapshot SET doc = '<a>0</a>' WHERE stream = (SELECT min(stream::text)::uuid FROM es.snapshot)`,
      'a default of a domain': `ALTER DOMAIN es.label DROP DEFAULT`,
      'a constraint of a domain with other words':
        'ALTER DOMAIN es.version DROP CONSTRAINT "from 1"; ALTER DOMAIN es.version ADD CONSTRAINT "from 1" CHECK (VALUE >= 0)',
      'a subtype of a range': `ALTER TABLE es.booking DROP price; DROP TYPE es.span; CREATE TYPE es.span AS RANGE (SUBTYPE = double precision); ALTER TABLE es.booking ADD price es.span`,
      'an attribute of a type': 'ALTER TYPE es.unused ALTER ATTRIBUTE y TYPE real',
      compression: 'ALTER TABLE es.event ALTER body SET COMPRESSION default',
      storage: 'ALTER TABLE es.event ALTER blob SET STORAGE MAIN',
      'an option of an index': 'ALTER INDEX es.event_time SET (pages_per_range = 16)',
      'the replica identity': 'ALTER TABLE es.stream REPLICA IDENTITY FULL',
      'what a publication publishes': `ALTER PUBLICATION events SET (publish = 'insert, update')`,
      'a table that is not published': 'ALTER PUBLICATION events DROP TABLE es.event',
      'a statistics object of other columns':
        'DROP STATISTICS es.kinds; CREATE STATISTICS es.kinds (mcv) ON kind, version FROM es.event',
      'a key that is not deferred any more':
        'ALTER TABLE es.event ALTER CONSTRAINT event_stream_fkey DEFERRABLE INITIALLY IMMEDIATE',
      'an exclusion of other operators':
        'ALTER TABLE es.booking DROP CONSTRAINT "no two at once", ADD CONSTRAINT "no two at once" EXCLUDE USING gist (room WITH =, during WITH =) WHERE (NOT isempty(during)) DEFERRABLE',
      'the function of a trigger':
        'CREATE OR REPLACE FUNCTION es.no_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
      'a sequence that no column owns': 'ALTER SEQUENCE es.event_position_seq OWNED BY NONE',
    }),
    ...bySuite({
      'an enum label removed':
        "ALTER TYPE es.kind RENAME TO old; CREATE TYPE es.kind AS ENUM ('created', 'changed'); ALTER TABLE es.event DISABLE TRIGGER immutable; DROP STATISTICS es.kinds; ALTER TABLE es.event ALTER kind TYPE es.kind USING kind::text::es.kind; DROP TYPE es.old",
      'enum labels in another order':
        "ALTER TYPE es.kind RENAME TO old; CREATE TYPE es.kind AS ENUM ('changed', 'created', 'deleted'); DROP STATISTICS es.kinds; ALTER TABLE es.event ALTER kind TYPE es.kind USING kind::text::es.kind; DROP TYPE es.old",
      'a domain constraint dropped': 'ALTER DOMAIN es.sha DROP CONSTRAINT sha_check',
      'a domain constraint NOT VALID':
        'ALTER DOMAIN es.sha DROP CONSTRAINT sha_check; ALTER DOMAIN es.sha ADD CONSTRAINT sha_check CHECK (octet_length(VALUE) = 32) NOT VALID',
      'an exclusion constraint dropped': 'ALTER TABLE es.booking DROP CONSTRAINT "no two at once"',
      'a trigger that fires only in ordinary sessions': 'ALTER TABLE es.event ENABLE TRIGGER immutable',
      'a trigger disabled': 'ALTER TABLE es.event DISABLE TRIGGER immutable',
      'a function of another type': `DROP FUNCTION es.head(uuid); CREATE FUNCTION es.head(uuid) RETURNS int LANGUAGE sql STABLE AS 'SELECT max(version)::int FROM es.event WHERE stream = $1'`,
      'a gin index that is a btree':
        'DROP INDEX es.stream_tags; CREATE INDEX stream_tags ON es.stream (tags)',
      'an expression of an index':
        "DROP INDEX es.event_expression; CREATE INDEX event_expression ON es.event ((body ->> 'user'), (body -> 'v'))",
      'a condition of an index':
        'DROP INDEX es.snapshot_trigram; CREATE INDEX snapshot_trigram ON es.snapshot USING gin (rendered gin_trgm_ops)',
      'an index not ready': `UPDATE pg_index SET indisready = false WHERE indexrelid = 'es.event_body'::regclass`,
      'an extension lost': 'DROP EXTENSION pg_trgm CASCADE',
      'a stream lost whose events stay': `DELETE FROM es.stream WHERE id = md5('s1')::uuid`,
      'a sequence set back': 'ALTER SEQUENCE es.event_position_seq RESTART WITH 3',
      'an array that is none': `ALTER TABLE es.event DROP numbers, ADD numbers numeric`,
    }),
  ],
};
