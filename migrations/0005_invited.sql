-- By which address somebody was invited: a keyed digest of it, so that the keys of the invitations can be found and
-- destroyed when the owner of the address is erased.
CREATE TABLE identity.invited (
    tenant_id     uuid        NOT NULL,
    invitation_id uuid        NOT NULL,
    email_index   bytea       NOT NULL CHECK (octet_length(email_index) = 32),
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (invitation_id, tenant_id)
);
CREATE INDEX ON identity.invited (email_index);
ALTER TABLE identity.invited ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY identity ON identity.invited TO counterfoil_identity USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON identity.invited TO counterfoil_identity;
