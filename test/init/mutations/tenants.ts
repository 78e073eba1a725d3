/** Many tenants in partitioned tables: composite keys, generated and identity columns, policies, an application role. */
import { createDatabase, sql } from '../../helpers/database.ts';
import { byPrint, bySuite, type Subject } from './damage.ts';

const ROLES = `
DO $do$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['mut_owner', 'mut_app LOGIN', 'mut_reader'] LOOP
    BEGIN
      EXECUTE 'CREATE ROLE ' || wanted;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
  BEGIN
    GRANT mut_reader TO mut_app;
  EXCEPTION WHEN unique_violation THEN NULL; WHEN internal_error THEN NULL;
  END;
END
$do$`;

const SCHEMA = `
CREATE SCHEMA tenancy AUTHORIZATION mut_owner;
SET ROLE mut_owner;
CREATE TYPE tenancy.plan AS ENUM ('free', 'team', 'enterprise');
CREATE TABLE tenancy.tenant (
  id uuid PRIMARY KEY, slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9-]+$'), plan tenancy.plan NOT NULL DEFAULT 'free',
  region text NOT NULL CHECK (region IN ('eu', 'us', 'ap')), created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE tenancy.country (code text PRIMARY KEY, name text, phone text);
INSERT INTO tenancy.country VALUES ('de', 'Germany', '+49'), ('ke', 'Kenya', '+254');
CREATE TABLE tenancy.project (
  tenant_id uuid NOT NULL REFERENCES tenancy.tenant (id) ON DELETE CASCADE, number int NOT NULL,
  name text NOT NULL, name_key text GENERATED ALWAYS AS (lower(name)) STORED,
  budget numeric(12,2) NOT NULL DEFAULT 0, spent numeric(12,2) NOT NULL DEFAULT 0,
  left_over numeric(12,2) GENERATED ALWAYS AS (budget - spent) STORED,
  PRIMARY KEY (tenant_id, number), UNIQUE (tenant_id, name_key));
CREATE TABLE tenancy.entry (
  tenant_id uuid NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, number int NOT NULL, at timestamptz NOT NULL,
  minutes int NOT NULL CHECK (minutes > 0), note text, billed boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, id, at),
  CONSTRAINT entry_project FOREIGN KEY (tenant_id, number) REFERENCES tenancy.project (tenant_id, number)
) PARTITION BY RANGE (at);
CREATE TABLE tenancy.entry_2025 PARTITION OF tenancy.entry FOR VALUES FROM ('2025-01-01Z') TO ('2026-01-01Z');
CREATE TABLE tenancy.entry_2026 PARTITION OF tenancy.entry FOR VALUES FROM ('2026-01-01Z') TO ('2027-01-01Z') PARTITION BY HASH (tenant_id);
CREATE TABLE tenancy.entry_2026_0 PARTITION OF tenancy.entry_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE tenancy.entry_2026_1 PARTITION OF tenancy.entry_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE tenancy.entry_rest PARTITION OF tenancy.entry DEFAULT;
CREATE INDEX entry_open ON tenancy.entry (tenant_id, at) INCLUDE (minutes) WHERE NOT billed;
CREATE FUNCTION tenancy.current_tenant() RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
  AS $$ SELECT nullif(current_setting('app.tenant', true), '')::uuid $$;
CREATE FUNCTION tenancy.set_spent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER spent AFTER INSERT OR UPDATE ON tenancy.entry FOR EACH ROW EXECUTE FUNCTION tenancy.set_spent();
ALTER TABLE tenancy.tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenancy.project ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenancy.project FORCE ROW LEVEL SECURITY;
ALTER TABLE tenancy.entry ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenancy.tenant FOR SELECT TO mut_app USING (id = tenancy.current_tenant());
CREATE POLICY own ON tenancy.project TO mut_app USING (tenant_id = tenancy.current_tenant()) WITH CHECK (tenant_id = tenancy.current_tenant());
CREATE POLICY own ON tenancy.entry TO mut_app USING (tenant_id = tenancy.current_tenant());
CREATE POLICY regions ON tenancy.tenant AS RESTRICTIVE TO mut_reader USING (region IN ('eu', 'us'));
CREATE VIEW tenancy.usage WITH (security_invoker = true) AS
  SELECT tenant_id, number, sum(minutes) AS minutes FROM tenancy.entry GROUP BY tenant_id, number;
CREATE MATERIALIZED VIEW tenancy.monthly AS
  SELECT tenant_id, date_trunc('month', at, 'UTC') AS month, sum(minutes) AS minutes FROM tenancy.entry GROUP BY 1, 2;
CREATE UNIQUE INDEX monthly_key ON tenancy.monthly (tenant_id, month);
GRANT USAGE ON SCHEMA tenancy TO mut_app, mut_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenancy.project, tenancy.entry TO mut_app;
GRANT SELECT (id, slug, plan) ON tenancy.tenant TO mut_app;
GRANT SELECT ON tenancy.usage, tenancy.monthly TO mut_reader;
REVOKE EXECUTE ON FUNCTION tenancy.current_tenant() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.current_tenant() TO mut_app;
ALTER DEFAULT PRIVILEGES FOR ROLE mut_owner IN SCHEMA tenancy GRANT SELECT ON TABLES TO mut_reader;
RESET ROLE;
INSERT INTO tenancy.tenant SELECT md5('t' || n)::uuid, 'tenant-' || n, (enum_range(NULL::tenancy.plan))[n % 3 + 1], (ARRAY['eu', 'us', 'ap'])[n % 3 + 1], '2025-03-01Z'
  FROM generate_series(1, 9) n;
INSERT INTO tenancy.project (tenant_id, number, name, budget, spent)
  SELECT md5('t' || n % 9 + 1)::uuid, n, 'Project ' || n, n * 100, n FROM generate_series(1, 60) n;
INSERT INTO tenancy.entry (tenant_id, number, at, minutes, note, billed)
  SELECT md5('t' || n % 9 + 1)::uuid, n, '2024-12-20Z'::timestamptz + (n * 7 + k) * interval '31 hours', n + k,
    CASE k % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'note ' || k END, k % 2 = 0
  FROM generate_series(1, 60) n, generate_series(1, 8) k;
REFRESH MATERIALIZED VIEW tenancy.monthly;
`;

export const tenants: Subject = {
  name: 'tenants',
  create: () => {
    sql('postgres', ROLES);
    return createDatabase('muttenants', SCHEMA);
  },
  damages: [
    ...byPrint({
      'a row of another tenant':
        "UPDATE tenancy.entry SET number = 1, tenant_id = md5('t2')::uuid WHERE id = 100",
      'a row moved to another partition':
        "UPDATE tenancy.entry SET at = at - interval '1 year' WHERE id = (SELECT max(id) FROM tenancy.entry_2026_1)",
      'values of two rows swapped':
        'UPDATE tenancy.entry a SET minutes = b.minutes FROM tenancy.entry b WHERE (a.id, b.id) IN ((11, 12), (12, 11))',
      'NULL instead of an empty text': "UPDATE tenancy.entry SET note = NULL WHERE note = '' AND id < 5",
      'all notes NULL that were empty': "UPDATE tenancy.entry SET note = NULL WHERE note = ''",
      'a flag': 'UPDATE tenancy.entry SET billed = NOT billed WHERE id = 200',
      'rows lost of one partition only':
        'DELETE FROM tenancy.entry_2025 WHERE id IN (SELECT id FROM tenancy.entry_2025 LIMIT 1)',
      'a generated column with another expression':
        'ALTER TABLE tenancy.project DROP left_over; ALTER TABLE tenancy.project ADD left_over numeric(12,2) GENERATED ALWAYS AS (spent - budget) STORED',
      'a generated column that is an ordinary one':
        'ALTER TABLE tenancy.project ALTER left_over DROP EXPRESSION',
      'an identity that takes any value': 'ALTER TABLE tenancy.entry ALTER id SET GENERATED BY DEFAULT',
      'columns in another order':
        'ALTER TABLE tenancy.country ADD other text; UPDATE tenancy.country SET other = name; ALTER TABLE tenancy.country DROP name; ALTER TABLE tenancy.country RENAME other TO name',
      'a partition detached': 'ALTER TABLE tenancy.entry DETACH PARTITION tenancy.entry_2025',
      'a partition with other bounds':
        "ALTER TABLE tenancy.entry DETACH PARTITION tenancy.entry_2025; ALTER TABLE tenancy.entry ATTACH PARTITION tenancy.entry_2025 FOR VALUES FROM ('2025-01-01Z') TO ('2025-12-31 23:00Z')",
      'a check constraint with other words':
        'ALTER TABLE tenancy.entry DROP CONSTRAINT entry_minutes_check, ADD CONSTRAINT entry_minutes_check CHECK (minutes > -1)',
      'a table without its owner': 'ALTER TABLE tenancy.project OWNER TO postgres',
      'the body of a function that policies call':
        'CREATE OR REPLACE FUNCTION tenancy.current_tenant() RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$ SELECT NULL::uuid $$',
      'default privileges added':
        'ALTER DEFAULT PRIVILEGES FOR ROLE mut_owner IN SCHEMA tenancy GRANT INSERT ON TABLES TO mut_reader',
    }),
    ...bySuite({
      'the default partition lost': 'ALTER TABLE tenancy.entry DETACH PARTITION tenancy.entry_rest',
      'a composite reference dropped': 'ALTER TABLE tenancy.entry DROP CONSTRAINT entry_project',
      'a project lost whose entries stay':
        "DELETE FROM tenancy.project WHERE (tenant_id, number) = (md5('t6')::uuid, 5)",
      'a check constraint dropped': 'ALTER TABLE tenancy.entry DROP CONSTRAINT entry_minutes_check',
      'a check constraint NOT VALID':
        "ALTER TABLE tenancy.tenant DROP CONSTRAINT tenant_slug_check; ALTER TABLE tenancy.tenant ADD CONSTRAINT tenant_slug_check CHECK (slug ~ '^[a-z0-9-]+$') NOT VALID",
      'a value that its list does not have':
        "ALTER TABLE tenancy.tenant DROP CONSTRAINT tenant_region_check; UPDATE tenancy.tenant SET region = 'mars' WHERE slug = 'tenant-1'",
      'an index without what it carries along':
        'DROP INDEX tenancy.entry_open; CREATE INDEX entry_open ON tenancy.entry (tenant_id, at) WHERE NOT billed',
      'a policy of another condition':
        'ALTER POLICY own ON tenancy.project USING (true) WITH CHECK (tenant_id = tenancy.current_tenant())',
      'a restrictive policy that is permissive':
        "DROP POLICY regions ON tenancy.tenant; CREATE POLICY regions ON tenancy.tenant TO mut_reader USING (region IN ('eu', 'us'))",
      'policies of a partitioned table off': 'ALTER TABLE tenancy.entry DISABLE ROW LEVEL SECURITY',
      'a grant on a view lost': 'REVOKE SELECT ON tenancy.usage FROM mut_reader',
      'a grant that was for columns now for all': 'GRANT UPDATE ON tenancy.project TO mut_reader',
      'a view that reads with the rights of its owner': 'ALTER VIEW tenancy.usage RESET (security_invoker)',
      'a key of columns dropped':
        'ALTER TABLE tenancy.project DROP CONSTRAINT project_tenant_id_name_key_key',
      'the application without its role': 'REVOKE mut_reader FROM mut_app',
      'the application a superuser': 'ALTER ROLE mut_app SUPERUSER',
      'a trigger of a partitioned table dropped': 'DROP TRIGGER spent ON tenancy.entry',
      'an identity that is none any more': 'ALTER TABLE tenancy.entry ALTER id DROP IDENTITY',
    }).map((damage) =>
      // What was added for somebody who had nothing is for the fingerprint.
      damage.what === 'a grant that was for columns now for all'
        ? { ...damage, by: 'print' as const }
        : damage,
    ),
  ],
};
