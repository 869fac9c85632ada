-- Answers of executions that were called with an idempotency key, sealed, for as long as they may be given again.
CREATE TABLE identity.kept_responses (
    tenant_id    uuid        NOT NULL,
    execution_id uuid        NOT NULL,
    -- A digest of the request: the same key with another request gets nothing.
    fingerprint  bytea       NOT NULL CHECK (octet_length(fingerprint) = 32),
    sealed       bytea       NOT NULL,
    kept_at      timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (execution_id, tenant_id)
);
-- What is sealed is not compressible.
ALTER TABLE identity.kept_responses ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX ON identity.kept_responses (expires_at);
ALTER TABLE identity.kept_responses ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY identity ON identity.kept_responses TO counterfoil_identity USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON identity.kept_responses TO counterfoil_identity;
