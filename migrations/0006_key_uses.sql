-- When each API key was last used. Not a fact of the journal: it is written in batches, some seconds late, and what a
-- crash loses is written again with the next use.
CREATE TABLE identity.key_uses (
    partition integer     NOT NULL,
    tenant_id uuid        NOT NULL,
    key_id    uuid        NOT NULL,
    used_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key_id, partition)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON identity.key_uses TO counterfoil_identity;
ALTER TABLE identity.key_uses ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY identity ON identity.key_uses TO counterfoil_identity USING (true) WITH CHECK (true);
