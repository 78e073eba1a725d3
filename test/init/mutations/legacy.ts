/** Grown over twenty years: tables without keys, inheritance, names with blanks, sequences by plain default, rules. */
import { createDatabase } from '../../helpers/database.ts';
import { byPrint, bySuite, type Subject } from './damage.ts';

const SCHEMA = `
CREATE SCHEMA "Old Stuff";
CREATE SCHEMA import;
CREATE SEQUENCE "Old Stuff"."Number Range" START 1000 INCREMENT 10;
CREATE SEQUENCE shared_ids;
CREATE TABLE "Old Stuff"."Kunden Stamm" (
  "Kunden Nr" int NOT NULL DEFAULT nextval('"Old Stuff"."Number Range"'), "Name 1" varchar(40), "Name 2" char(20),
  plz char(5), "Saldo" money, angelegt timestamp DEFAULT '2004-05-06 07:08:09', bemerkung text);
CREATE TABLE "Old Stuff"."Bewegungen" (kunde int, betrag numeric, buchung date, "Text" text);
CREATE TABLE import.raw (line text);
CREATE TABLE import.twice (a int, b text);
CREATE TABLE person (id int NOT NULL DEFAULT nextval('shared_ids'), name text, CONSTRAINT person_key UNIQUE (id));
CREATE TABLE employee (salary numeric(9,2), CHECK (salary > 0)) INHERITS (person);
CREATE TABLE manager (bonus real) INHERITS (employee);
CREATE TABLE device (id int NOT NULL DEFAULT nextval('shared_ids'), label text);
CREATE TABLE "select" ("from" int, "where" text, "order by" date);
CREATE VIEW "Alle Kunden" AS SELECT "Kunden Nr" AS nr, trim("Name 2") AS zwei FROM "Old Stuff"."Kunden Stamm";
CREATE RULE "write through" AS ON UPDATE TO "Alle Kunden" DO INSTEAD
  UPDATE "Old Stuff"."Kunden Stamm" SET "Name 2" = NEW.zwei WHERE "Kunden Nr" = OLD.nr;
CREATE RULE keep AS ON DELETE TO "Old Stuff"."Bewegungen" DO INSTEAD NOTHING;
CREATE FUNCTION public."Alter Satz"(int, text DEFAULT 'x') RETURNS text LANGUAGE sql AS 'SELECT $2 || $1';
CREATE FUNCTION public."Alter Satz"(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE INDEX "Bewegungen nach Datum" ON "Old Stuff"."Bewegungen" (buchung DESC, kunde);
CREATE UNIQUE INDEX "Kunden eindeutig" ON "Old Stuff"."Kunden Stamm" ("Kunden Nr");
INSERT INTO "Old Stuff"."Kunden Stamm" ("Name 1", "Name 2", plz, "Saldo", bemerkung)
  SELECT 'Kunde ' || n, 'Ort ' || n % 7, lpad(n::text, 5, '0'), n::text::money, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE E'zwei\\nZeilen' END
  FROM generate_series(1, 120) n;
INSERT INTO "Old Stuff"."Bewegungen" SELECT 1000 + n % 120 * 10, n / 3.0, '2010-01-01'::date + n, 'b' || n % 5 FROM generate_series(1, 600) n;
INSERT INTO import.raw SELECT 'line ' || n % 40 FROM generate_series(1, 200) n;
INSERT INTO import.twice VALUES (1, 'x'), (1, 'x'), (2, NULL), (2, ''), (3, 'y'), (4, 'z');
INSERT INTO person (name) VALUES ('p1'), ('p2');
INSERT INTO employee (name, salary) SELECT 'e' || n, n * 100 FROM generate_series(1, 20) n;
INSERT INTO manager (name, salary, bonus) SELECT 'm' || n, n * 1000, n / 7.0 FROM generate_series(1, 5) n;
INSERT INTO device (label) SELECT 'd' || n FROM generate_series(1, 10) n;
INSERT INTO "select" SELECT n, 'w' || n, '1999-12-31' FROM generate_series(1, 9) n;
COMMENT ON TABLE "Old Stuff"."Kunden Stamm" IS 'seit 1998';
`;

export const legacy: Subject = {
  name: 'legacy',
  create: () => createDatabase('mutlegacy', SCHEMA),
  damages: [
    ...byPrint({
      'a row doubled': 'INSERT INTO import.raw SELECT line FROM import.raw LIMIT 1',
      'a row instead of another': "UPDATE import.raw SET line = 'line 1' WHERE ctid = '(0,3)'",
      'one of two equal rows lost':
        'DELETE FROM import.twice WHERE ctid = (SELECT min(ctid) FROM import.twice)',
      'values swapped between rows without a key':
        "UPDATE import.twice SET b = CASE a WHEN 3 THEN 'z' ELSE 'y' END WHERE a IN (3, 4)",
      'NULL and an empty text swapped': "UPDATE import.twice SET a = 5 - a WHERE a = 2 AND b = ''",
      'an empty text that is NULL': "UPDATE import.twice SET b = NULL WHERE b = ''",
      'a cent': `UPDATE "Old Stuff"."Kunden Stamm" SET "Saldo" = "Saldo" + '0.01' WHERE "Kunden Nr" = 1100`,
      'zeros that were lost': `UPDATE "Old Stuff"."Kunden Stamm" SET plz = ltrim(plz, '0') WHERE "Kunden Nr" = 1100`,
      'a line break of Windows': `UPDATE "Old Stuff"."Kunden Stamm" SET bemerkung = replace(bemerkung, E'\\n', E'\\r\\n') WHERE "Kunden Nr" < 1050`,
      'two dates swapped': `UPDATE "Old Stuff"."Bewegungen" SET buchung = CASE buchung WHEN '2010-01-10' THEN date '2010-01-11' ELSE date '2010-01-10' END WHERE buchung IN ('2010-01-10', '2010-01-11')`,
      'the last digit of a float': 'UPDATE manager SET bonus = bonus * 1.0000001::real WHERE bonus < 0.2',
      'a row moved to the table above':
        "WITH gone AS (DELETE FROM manager WHERE name = 'm1' RETURNING id, name, salary) INSERT INTO employee SELECT * FROM gone",
      'a row of the table below changed': "UPDATE ONLY employee SET salary = salary + 1 WHERE name = 'e3'",
      'inheritance ended': 'ALTER TABLE manager NO INHERIT employee',
      'a rule dropped': 'DROP RULE keep ON "Old Stuff"."Bewegungen"',
      'a rule that does something else':
        'CREATE OR REPLACE RULE "write through" AS ON UPDATE TO "Alle Kunden" DO INSTEAD NOTHING',
      'the body of one form of a function': `CREATE OR REPLACE FUNCTION public."Alter Satz"(text) RETURNS text LANGUAGE sql AS 'SELECT $1 || $1'`,
      'the default of an argument': `DROP FUNCTION public."Alter Satz"(int, text); CREATE FUNCTION public."Alter Satz"(int, text DEFAULT 'y') RETURNS text LANGUAGE sql AS 'SELECT $2 || $1'`,
      'a column without its sequence': 'ALTER TABLE device ALTER id DROP DEFAULT',
      'a column with another sequence': `ALTER TABLE device ALTER id SET DEFAULT nextval('"Old Stuff"."Number Range"')`,
      'the comment': `COMMENT ON TABLE "Old Stuff"."Kunden Stamm" IS NULL`,
      'a collation': `ALTER TABLE "select" ALTER "where" TYPE text COLLATE "C"`,
      'a definition of a view': `CREATE OR REPLACE VIEW "Alle Kunden" AS SELECT "Kunden Nr" AS nr, "Name 1"::text AS zwei FROM "Old Stuff"."Kunden Stamm"`,
      'a table that is not durable': 'ALTER TABLE import.raw SET UNLOGGED',
    }),
    ...bySuite({
      'a sequence behind a column by plain default':
        'ALTER SEQUENCE "Old Stuff"."Number Range" RESTART WITH 1000',
      'a shared sequence behind one of its columns': 'ALTER SEQUENCE shared_ids RESTART WITH 30',
      'one form of a function lost': 'DROP FUNCTION public."Alter Satz"(text)',
      'a table of many dropped': 'DROP TABLE "select"',
      'a type that is wider': 'ALTER TABLE device ALTER id TYPE bigint',
      'a length that is shorter': `ALTER TABLE "Old Stuff"."Kunden Stamm" ALTER "Name 1" TYPE varchar(39)`,
      'a schema lost': 'DROP SCHEMA import CASCADE',
      'a unique index lost': 'DROP INDEX "Old Stuff"."Kunden eindeutig"',
      'an index in the other direction':
        'DROP INDEX "Old Stuff"."Bewegungen nach Datum"; CREATE INDEX "Bewegungen nach Datum" ON "Old Stuff"."Bewegungen" (kunde, buchung DESC)',
      'a check constraint of the table below lost':
        'ALTER TABLE employee DROP CONSTRAINT employee_salary_check',
      'a table emptied': 'DELETE FROM import.raw',
      'a view lost': 'DROP VIEW "Alle Kunden"',
    }),
  ],
};
