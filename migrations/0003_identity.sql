-- Who somebody is, and what must be forgettable: keys, accounts, sessions, one-time tokens, the log of reads.
-- Unlike the journal these tables change; what is deleted here is gone. Personal fields are sealed texts ("s1...."):
-- nothing in this schema tells a name, an address or a secret without the master key, which is not in the database.

-- A role that owns nothing. The reader sees nothing here but its tenant's part of the log of reads.
DO $$ BEGIN
    CREATE ROLE counterfoil_identity NOLOGIN NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN
    EXECUTE format('GRANT counterfoil_identity TO %I', current_user);
EXCEPTION WHEN unique_violation THEN NULL; END $$;

CREATE SCHEMA identity;
GRANT USAGE ON SCHEMA identity TO counterfoil_identity, counterfoil_reader;

-- The versions of the master key that this database has seen, never the keys themselves. `proof` shows whether a key
-- is the one that its number says; a version that was retired may wrap nothing any more.
CREATE TABLE identity.master_keys (
    version    integer     PRIMARY KEY CHECK (version > 0),
    proof      bytea       NOT NULL CHECK (octet_length(proof) = 32),
    live       boolean     NOT NULL DEFAULT true,
    known_at   timestamptz NOT NULL,
    retired_at timestamptz,
    CHECK (live = (retired_at IS NULL)),
    UNIQUE (version, live)
);

-- One data key per tenant, wrapped by the master key.
CREATE TABLE identity.data_keys (
    partition      integer     NOT NULL,
    tenant_id      uuid        NOT NULL,
    master_version integer     NOT NULL,
    -- Always true: with it the foreign key refuses both a retired version and the retirement of one that is in use.
    master_live    boolean     NOT NULL DEFAULT true CHECK (master_live),
    wrapped        bytea       NOT NULL,
    created_at     timestamptz NOT NULL,
    wrapped_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, partition),
    CONSTRAINT data_keys_master_key FOREIGN KEY (master_version, master_live)
        REFERENCES identity.master_keys (version, live)
);
CREATE INDEX ON identity.data_keys (master_version);

-- One key per subject, wrapped by its tenant's data key; NULL once the subject is erased. In parts, so that a part
-- can be written anew in a moment: that is what takes the bytes of an erased key out of the files.
CREATE TABLE identity.subject_keys (
    partition  integer     NOT NULL,
    tenant_id  uuid        NOT NULL,
    subject_id uuid        NOT NULL,
    wrapped    bytea,
    created_at timestamptz NOT NULL,
    erased_at  timestamptz,
    -- When the part was written anew after the erasure.
    purged_at  timestamptz,
    PRIMARY KEY (subject_id, tenant_id, partition),
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL)),
    CHECK (purged_at IS NULL OR erased_at IS NOT NULL)
) PARTITION BY HASH (subject_id);
CREATE INDEX ON identity.subject_keys (subject_id) WHERE erased_at IS NOT NULL AND purged_at IS NULL;
DO $$ BEGIN
    FOR part IN 0..31 LOOP
        EXECUTE format('CREATE TABLE identity.subject_keys_%s PARTITION OF identity.subject_keys
            FOR VALUES WITH (MODULUS 32, REMAINDER %s)', part, part);
        EXECUTE format('ALTER TABLE identity.subject_keys_%s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
    END LOOP;
END $$;

-- The key of the blind indexes, sealed under the platform's data key.
CREATE TABLE identity.index_keys (
    name       text        PRIMARY KEY COLLATE "C",
    sealed     bytea       NOT NULL,
    created_at timestamptz NOT NULL
);

-- The keys that sign session tokens. A key is published before `signs_from` and until `published_until`.
CREATE TABLE identity.signing_keys (
    key_id          text        PRIMARY KEY COLLATE "C",
    record          uuid        NOT NULL UNIQUE,
    public          bytea       NOT NULL CHECK (octet_length(public) = 32),
    sealed          bytea       NOT NULL,
    created_at      timestamptz NOT NULL,
    signs_from      timestamptz NOT NULL,
    published_until timestamptz
);

-- What a user signs in with. The index is a keyed digest of the normalised email: equal emails have equal indexes.
CREATE TABLE identity.accounts (
    user_id           uuid        PRIMARY KEY,
    email_index       bytea       NOT NULL CHECK (octet_length(email_index) = 32),
    -- NULL: signs in through an OpenID provider alone.
    password          text        COLLATE "C",
    password_set_at   timestamptz,
    -- The sealed secret of the second factor; it counts only once it was confirmed.
    totp_secret       bytea,
    totp_confirmed_at timestamptz,
    -- The newest time step that a code was accepted for: none is accepted twice.
    totp_step         bigint,
    created_at        timestamptz NOT NULL,
    CONSTRAINT accounts_email_index_key UNIQUE (email_index)
);

-- Recovery codes of the second factor, as digests; each serves once.
CREATE TABLE identity.recovery_codes (
    user_id    uuid        NOT NULL REFERENCES identity.accounts ON DELETE CASCADE,
    digest     bytea       NOT NULL CHECK (octet_length(digest) = 32),
    created_at timestamptz NOT NULL,
    used_at    timestamptz,
    PRIMARY KEY (user_id, digest)
);

-- A session is the family of its refresh tokens.
CREATE TABLE identity.sessions (
    session_id   uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES identity.accounts ON DELETE CASCADE,
    method       text        NOT NULL COLLATE "C",
    -- Sealed.
    user_agent   text        COLLATE "C",
    address      text        COLLATE "C",
    created_at   timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    revoked_for  text        COLLATE "C",
    CHECK ((revoked_at IS NULL) = (revoked_for IS NULL))
);
CREATE INDEX ON identity.sessions (user_id, created_at);
CREATE INDEX ON identity.sessions (expires_at);

-- Refresh tokens as digests. One that was used stays until its session is over, to be known again.
CREATE TABLE identity.refresh_tokens (
    digest     bytea       PRIMARY KEY CHECK (octet_length(digest) = 32),
    session_id uuid        NOT NULL REFERENCES identity.sessions ON DELETE CASCADE,
    issued_at  timestamptz NOT NULL,
    spent_at   timestamptz
);
CREATE INDEX ON identity.refresh_tokens (session_id);
-- A session has one token that still counts.
CREATE UNIQUE INDEX refresh_tokens_unspent_key ON identity.refresh_tokens (session_id) WHERE spent_at IS NULL;

-- Tokens that serve once, as digests: verification of an email, reset of a password, first start, steps of a sign-in.
CREATE TABLE identity.one_time_tokens (
    token_id   uuid        PRIMARY KEY,
    digest     bytea       NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    purpose    text        NOT NULL COLLATE "C",
    -- The user it is for, where there is one: goes with the user.
    user_id    uuid,
    -- What it stands for, sealed.
    payload    bytea       NOT NULL,
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX ON identity.one_time_tokens (user_id, purpose) WHERE user_id IS NOT NULL;
CREATE INDEX ON identity.one_time_tokens (purpose, issued_at);
CREATE INDEX ON identity.one_time_tokens (expires_at);

-- Users as OpenID providers know them. The index is a keyed digest of issuer and subject.
CREATE TABLE identity.oidc_links (
    subject_index bytea       PRIMARY KEY CHECK (octet_length(subject_index) = 32),
    user_id       uuid        NOT NULL REFERENCES identity.accounts ON DELETE CASCADE,
    issuer        text        NOT NULL COLLATE "C",
    -- Sealed.
    subject       text        NOT NULL COLLATE "C",
    created_at    timestamptz NOT NULL,
    CONSTRAINT oidc_links_issuer_key UNIQUE (user_id, issuer)
);

-- Who saw what. Kept in parts of a day each, which are dropped whole when they are old enough.
CREATE TABLE identity.access_log (
    partition   integer     NOT NULL,
    tenant_id   uuid        NOT NULL,
    access_id   uuid        NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- "user", "program" or "operator", and which one.
    actor_kind  text        NOT NULL COLLATE "C",
    actor       text        NOT NULL COLLATE "C",
    -- Whether the platform's operator looked into a tenant that is not the operator's own.
    crossing    boolean     NOT NULL,
    method      text        NOT NULL COLLATE "C",
    -- The path as it was asked for, without the query.
    path        text        NOT NULL COLLATE "C",
    status      integer     NOT NULL,
    request_id  text        COLLATE "C",
    -- Whose key the address is sealed under, and the address.
    subject_id  uuid,
    address     text        COLLATE "C",
    PRIMARY KEY (tenant_id, recorded_at, access_id, partition),
    CHECK ((subject_id IS NULL) = (address IS NULL))
) PARTITION BY RANGE (recorded_at);

-- Makes the parts for `days` days from `first` on that are not there yet; says how many it made.
CREATE FUNCTION identity.prepare_access_log(first date, days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
    day  date;
    part text;
    made integer := 0;
BEGIN
    FOR day IN SELECT first + step FROM generate_series(0, least(days, 366) - 1) AS step LOOP
        part := 'access_log_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('identity.' || part) IS NOT NULL;
        -- Several programs may be here at once.
        PERFORM pg_advisory_xact_lock(hashtext('identity.access_log'));
        CONTINUE WHEN to_regclass('identity.' || part) IS NOT NULL;
        EXECUTE format('CREATE TABLE identity.%I PARTITION OF identity.access_log FOR VALUES FROM (%L) TO (%L)',
            part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        EXECUTE format('ALTER TABLE identity.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drops the parts of the days before `before`; says how many.
CREATE FUNCTION identity.drop_access_log(before date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
    part    name;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('identity.access_log'));
    FOR part IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'identity.access_log'::regclass AND relname < 'access_log_' || to_char(before, 'YYYYMMDD')
        ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE identity.%I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

REVOKE ALL ON FUNCTION identity.prepare_access_log(date, integer), identity.drop_access_log(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION identity.prepare_access_log(date, integer), identity.drop_access_log(date)
    TO counterfoil_identity;

GRANT SELECT, INSERT, UPDATE ON identity.master_keys, identity.data_keys, identity.subject_keys TO counterfoil_identity;
GRANT SELECT, INSERT ON identity.index_keys TO counterfoil_identity;
GRANT SELECT, INSERT, UPDATE, DELETE ON identity.signing_keys, identity.accounts, identity.recovery_codes,
    identity.sessions, identity.refresh_tokens, identity.one_time_tokens, identity.oidc_links TO counterfoil_identity;
GRANT INSERT ON identity.access_log TO counterfoil_identity;
GRANT SELECT ON identity.access_log TO counterfoil_reader;

-- Row-level security everywhere, forced on the owner too.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['master_keys', 'data_keys', 'subject_keys', 'index_keys', 'signing_keys', 'accounts',
        'recovery_codes', 'sessions', 'refresh_tokens', 'one_time_tokens', 'oidc_links', 'access_log']
    LOOP
        EXECUTE format('ALTER TABLE identity.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        CONTINUE WHEN name = 'access_log';
        EXECUTE format('CREATE POLICY identity ON identity.%I TO counterfoil_identity USING (true) WITH CHECK (true)',
            name);
    END LOOP;
END $$;
CREATE POLICY writer_appends ON identity.access_log FOR INSERT TO counterfoil_identity WITH CHECK (true);
CREATE POLICY reader ON identity.access_log FOR SELECT TO counterfoil_reader
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
