/** The hard schema: everything that is rare. */
import { createHardDatabase } from '../../helpers/hard-schema.ts';
import { byPrint, bySuite, type Subject } from './damage.ts';

const DATABASE = (rest: string) => `DO $do$ BEGIN EXECUTE format(${rest}, current_database()); END $do$`;

export const hard: Subject = {
  name: 'hard',
  create: () => createHardDatabase('muthard'),
  damages: [
    ...byPrint({
      'a byte of bytea': `UPDATE "User" SET picture = set_byte(picture, 0, 255) WHERE id = 3`,
      'letters of citext in another case': `UPDATE "User" SET email = lower(email::text)::"Email" WHERE id = 5`,
      'a part of a composite value': `UPDATE "User" SET address.zip = '99999' WHERE id = 5`,
      'a value of hstore': `UPDATE "Tenant" SET tags = extensions.hstore('a', 'x') WHERE id = 't3'`,
      'a number in jsonb that is equal': `UPDATE "Tenant" SET settings = jsonb_set(settings, '{deep,0}', '1') WHERE id = 't3'`,
      'white space in json': `UPDATE "weird.schema"."dotted.table" SET j = '{"a": 1, "a": 2}' WHERE id = 1`,
      'zeros of a numeric': `UPDATE "weird.schema"."dotted.table" SET nu = nu || '0' WHERE id = 2`.replace(
        "nu || '0'",
        "(nu::text || '0')::numeric",
      ),
      'a bound of a range': `UPDATE "TenantLicense" SET valid = daterange(lower(valid), upper(valid) + 1) WHERE "tenantId" = 't7'`,
      'a row of a partition': `UPDATE audit."AuditLog" SET payload = '{}' WHERE id = 44`,
      'a row of a table that inherits': `WITH gone AS (DELETE FROM child RETURNING id, kind) INSERT INTO child SELECT id, kind, 'E' FROM gone`,
      'a row of an unlogged table': `DELETE FROM audit.scratch WHERE id = 3`,
      'a byte of a large object': `SELECT lo_put(900001, 4711, '\\x01')`,
      'a large object shortened': `SELECT lo_truncate(lo_open(900001, 131072), 19999)`,
      'a large object lost': 'SELECT lo_unlink(900002)',
      'a grant on a large object lost': 'REVOKE SELECT ON LARGE OBJECT 900001 FROM "Hard Reader"',
      'the owner of a large object': 'ALTER LARGE OBJECT 900002 OWNER TO hard_owner',
      'the body of a function':
        'CREATE OR REPLACE FUNCTION audit.check_later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$',
      'the body of an SQL function':
        'CREATE OR REPLACE FUNCTION twice(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT n * 3; END',
      'the settings of a procedure': 'ALTER PROCEDURE audit.nothing RESET search_path',
      'the cost of a function': 'ALTER FUNCTION "Sales Ops"."add one" COST 8',
      'the start of an aggregate': `DROP AGGREGATE product(numeric); CREATE AGGREGATE product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '2')`,
      'the owner of a function': 'ALTER FUNCTION audit.touch() OWNER TO postgres',
      'the definition of a view':
        'CREATE OR REPLACE VIEW by_primary_key AS SELECT t.id, t."displayName", t.settings, count(*) + 1 AS n FROM "Tenant" t GROUP BY t.id',
      'the check option of a view': 'ALTER VIEW simple RESET (check_option)',
      'the security barrier of a view': 'ALTER VIEW "Active Users" RESET (security_barrier)',
      'the owner of a view': 'ALTER VIEW simple OWNER TO hard_owner',
      'a rule dropped': 'DROP RULE "log it" ON ruled',
      'the words of a policy': `ALTER POLICY blocked ON secret_notes WITH CHECK (true)`,
      'a policy that lets more through': `DROP POLICY blocked ON secret_notes; CREATE POLICY blocked ON secret_notes FOR INSERT WITH CHECK (false)`,
      'the owner of a table': 'ALTER TABLE audit."no rows" OWNER TO postgres',
      'default privileges lost':
        'ALTER DEFAULT PRIVILEGES IN SCHEMA audit REVOKE SELECT ON TABLES FROM "Hard Reader"',
      'a comment lost': 'COMMENT ON COLUMN "User".note IS NULL',
      'a comment on the schema public': `COMMENT ON SCHEMA public IS 'other'`,
      'replica identity': 'ALTER TABLE "User" REPLICA IDENTITY DEFAULT',
      'an option of a table': 'ALTER TABLE "TenantLicense" SET (fillfactor = 71)',
      'an option of the TOAST table': 'ALTER TABLE "User" SET (toast.autovacuum_enabled = false)',
      'the order to cluster by': 'ALTER TABLE "User" SET WITHOUT CLUSTER',
      'the storage of a column': 'ALTER TABLE "User" ALTER note SET STORAGE MAIN',
      'the statistics of a column': 'ALTER TABLE "User" ALTER note SET STATISTICS 400',
      'a statistics object dropped': 'DROP STATISTICS "User stats"',
      'a statistics object with another target': 'ALTER STATISTICS "User stats" SET STATISTICS 77',
      'a publication dropped': 'DROP PUBLICATION pub_some',
      'a publication of other rows': `ALTER PUBLICATION pub_some SET TABLE "User" (id, status) WHERE (status = 'pending')`,
      'a publication of other columns': `ALTER PUBLICATION pub_some SET TABLE "User" (id) WHERE (id > 0)`,
      'an option of a foreign table': `ALTER FOREIGN TABLE remote_things OPTIONS (SET table_name 'others')`,
      'an option of a foreign column': `ALTER FOREIGN TABLE remote_things ALTER id OPTIONS (SET column_name 'id')`,
      'an option of a foreign server': `ALTER SERVER elsewhere OPTIONS (SET host 'otherhost')`,
      'a user mapping lost': 'DROP USER MAPPING FOR hard_owner SERVER elsewhere',
      'a cast dropped': 'DROP CAST ("UserType" AS integer)',
      'a cast that works on its own':
        'DROP CAST ("UserType" AS integer); CREATE CAST ("UserType" AS integer) WITH INOUT AS IMPLICIT',
      'an operator dropped': 'DROP OPERATOR public.=~~= (integer, integer)',
      'a text search mapping':
        'ALTER TEXT SEARCH CONFIGURATION plain_config ALTER MAPPING FOR asciiword WITH simple',
      'a text search dictionary': 'ALTER TEXT SEARCH DICTIONARY plain_words (StopWords)',
      'a conversion dropped': 'DROP CONVERSION my_conversion',
      'an event trigger dropped': 'DROP EVENT TRIGGER "watch ddl"',
      'an event trigger disabled': 'ALTER EVENT TRIGGER "watch ddl" DISABLE',
      'a trigger disabled on one partition':
        'ALTER TABLE ONLY audit."AuditLog_2026_01" DISABLE TRIGGER on_partitions',
      'inheritance ended': 'ALTER TABLE child NO INHERIT parent',
      'an unlogged table made durable': 'ALTER TABLE audit.scratch SET LOGGED',
      'an increment of a sequence': 'ALTER SEQUENCE "User_id_seq" INCREMENT BY 1',
      'a sequence that never was called put back': 'ALTER SEQUENCE never_called MINVALUE 1 RESTART WITH 2',
      'a sequence set back past what a double can tell':
        'ALTER SEQUENCE far_ahead RESTART WITH 9007199254740992',
      'a descending sequence set back': 'ALTER SEQUENCE "Odd Seq" RESTART WITH 60',
      'a cyclic sequence that ends': 'ALTER SEQUENCE "Odd Seq" NO CYCLE',
      'a setting that may be a secret': DATABASE(`'ALTER DATABASE %I SET "my.setting" = ''other'''`),
      'the owner of the database': DATABASE(`'ALTER DATABASE %I OWNER TO postgres'`),
      'an attribute of a type renamed': 'ALTER TYPE "Address" RENAME ATTRIBUTE zip TO zipcode',
      'the default of a domain': 'ALTER DOMAIN positive SET DEFAULT 2',
      'NOT NULL of a domain': 'ALTER DOMAIN "Email" DROP NOT NULL',
      'the grant of a column with grant option':
        'REVOKE GRANT OPTION FOR UPDATE (note) ON "User" FROM "Hard Reader"',
      'a deferrable key that is none any more':
        'ALTER TABLE "Tenant" ALTER CONSTRAINT "Tenant_mainUser_fkey" NOT DEFERRABLE',
      'a NULLS NOT DISTINCT key that is none any more':
        'ALTER TABLE "UserTenantLicense" DROP CONSTRAINT "UserTenantLicense_userId_tenantId_key", ADD CONSTRAINT "UserTenantLicense_userId_tenantId_key" UNIQUE ("userId", "tenantId")',
    }),
    ...bySuite({
      'a trigger disabled': 'ALTER TABLE "User" DISABLE TRIGGER "touch before"',
      'a trigger dropped': 'DROP TRIGGER "later" ON "TenantLicense"',
      'a trigger at another time':
        'DROP TRIGGER instead ON "Active Users"; CREATE TRIGGER instead INSTEAD OF UPDATE ON "Active Users" FOR EACH ROW EXECUTE FUNCTION audit.instead()',
      'a function dropped': 'DROP FUNCTION "Sales Ops"."add one"',
      'a function that runs with the rights of its owner': 'ALTER FUNCTION audit.touch() SECURITY DEFINER',
      'a function of another volatility': 'ALTER FUNCTION same_sign(integer, integer) STABLE',
      'a procedure without the rights of its owner': 'ALTER PROCEDURE audit.nothing SECURITY INVOKER',
      'row-level security off': 'ALTER TABLE secret_notes DISABLE ROW LEVEL SECURITY',
      'row-level security not forced': 'ALTER TABLE secret_notes NO FORCE ROW LEVEL SECURITY',
      'a policy dropped': 'DROP POLICY "own rows" ON secret_notes',
      'a policy for other roles': 'ALTER POLICY "own rows" ON secret_notes TO hard_group',
      'a policy added': 'CREATE POLICY more ON secret_notes USING (true)',
      'a grant on a table lost': 'REVOKE SELECT ON "User" FROM "Hard Reader" CASCADE',
      'a grant on a table added': 'GRANT DELETE ON "User" TO "Hard Reader"',
      'a grant on a column lost': 'REVOKE UPDATE (note) ON "User" FROM "Hard Reader" CASCADE',
      'a grant on a schema lost': 'REVOKE USAGE ON SCHEMA audit FROM hard_group',
      'a grant on a sequence lost': 'REVOKE UPDATE ON SEQUENCE far_ahead FROM hard_group',
      'a grant on the database lost': DATABASE(`'REVOKE TEMPORARY ON DATABASE %I FROM hard_group'`),
      'a function that everybody may call': 'GRANT EXECUTE ON FUNCTION twice(numeric) TO PUBLIC',
      'the schema public open to all': 'GRANT CREATE ON SCHEMA public TO PUBLIC',
      'the owner of a schema': 'ALTER SCHEMA "Sales Ops" OWNER TO postgres',
      'a membership lost': 'REVOKE hard_group FROM "hard-member"',
      'a role that no policy binds': 'ALTER ROLE hard_group BYPASSRLS',
      'a setting of the database': DATABASE(`'ALTER DATABASE %I RESET work_mem'`),
      'a setting of a role in the database': DATABASE(
        `'ALTER ROLE "Hard Reader" IN DATABASE %I SET statement_timeout = ''34s'''`,
      ),
      'a view dropped': 'DROP VIEW counting',
      'a column of a view added':
        'DROP VIEW simple; CREATE VIEW simple AS SELECT id FROM "User" WHERE status = \'pending\'',
      'a materialized view emptied': 'REFRESH MATERIALIZED VIEW audit.nested WITH NO DATA',
      'a partition key that is gone': 'DROP TABLE hashed; CREATE TABLE hashed (k integer, v text)',
      'an exclusion constraint dropped': 'ALTER TABLE "TenantLicense" DROP CONSTRAINT "no overlap"',
      'a domain constraint dropped': 'ALTER DOMAIN positive DROP CONSTRAINT "must be > 0"',
      'an extension lost': 'DROP EXTENSION btree_gist CASCADE',
      'a partial index with another condition':
        'DROP INDEX "odd name; -- DROP"; CREATE INDEX "odd name; -- DROP" ON "User" (status DESC NULLS LAST, upper(note) COLLATE "C") WHERE status <> \'active\'',
      'an index of another method':
        'DROP INDEX "Tenant_id_idx"; CREATE INDEX "Tenant_id_idx" ON "Tenant" (id)',
    }),
  ],
};
