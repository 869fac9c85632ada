-- An address that was invited is forgotten when the invitation has ended and nobody came. Of one that was accepted it is
-- seen once, and kept until its owner is erased. A repeated request notes it again, which counts anew.
ALTER TABLE identity.invited ADD COLUMN kept_since timestamptz;
CREATE INDEX ON identity.invited (created_at) WHERE kept_since IS NULL;
GRANT UPDATE (created_at, kept_since) ON identity.invited TO counterfoil_identity;
