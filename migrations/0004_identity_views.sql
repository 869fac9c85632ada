-- What the read models say of tenants, their members and invitations, of users, applications and API keys.
-- Personal fields are sealed texts ("s1....") here as everywhere.

-- No tenant had an event of these kinds before, so the defaults are what folding its events gives, and neither the rows
-- nor the checkpoint need to be touched. A program that does not know such an event stops at it and never goes past.
ALTER TABLE views.tenants
    ADD COLUMN status   text  NOT NULL DEFAULT 'active' COLLATE "C",
    ADD COLUMN domain   text  COLLATE "C",
    ADD COLUMN branding jsonb NOT NULL DEFAULT '{}';

CREATE TABLE views.members (
    partition integer     NOT NULL,
    tenant_id uuid        NOT NULL,
    user_id   uuid        NOT NULL,
    role      text        NOT NULL COLLATE "C",
    since     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id, partition)
);
-- The tenants of one user.
CREATE INDEX ON views.members (user_id);

-- Open, accepted and withdrawn; whether an open one has expired depends on when it is asked.
CREATE TABLE views.invitations (
    partition     integer     NOT NULL,
    tenant_id     uuid        NOT NULL,
    invitation_id uuid        NOT NULL,
    email         text        NOT NULL COLLATE "C",
    role          text        NOT NULL COLLATE "C",
    status        text        NOT NULL COLLATE "C",
    expires_at    timestamptz NOT NULL,
    -- SHA-256 of the token in hexadecimal digits.
    digest        text        NOT NULL COLLATE "C",
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, invitation_id, partition)
);
CREATE INDEX ON views.invitations (digest);

-- Users. Their tenant is the platform. An erased one has its id and its dates alone.
CREATE TABLE views.users (
    partition     integer     NOT NULL,
    tenant_id     uuid        NOT NULL,
    user_id       uuid        NOT NULL,
    email         text        COLLATE "C",
    name          text        COLLATE "C",
    avatar        text        COLLATE "C",
    locale        text        COLLATE "C",
    preferences   text        COLLATE "C",
    status        text        NOT NULL COLLATE "C",
    verified      boolean     NOT NULL,
    superadmin    boolean     NOT NULL,
    second_factor boolean     NOT NULL,
    last_sign_in  timestamptz,
    -- The OpenID issuers by which they can sign in.
    issuers       text[]      NOT NULL,
    sequence      bigint      NOT NULL,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (user_id, partition)
) WITH (fillfactor = 70);

CREATE TABLE views.applications (
    partition      integer     NOT NULL,
    tenant_id      uuid        NOT NULL,
    application_id uuid        NOT NULL,
    -- Name, description, category, icon, template, metadata.
    details        jsonb       NOT NULL,
    status         text        NOT NULL COLLATE "C",
    sequence       bigint      NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, application_id, partition)
);

-- The keys of applications: what a key is presented by, and a digest of what only its holder knows.
CREATE TABLE views.api_keys (
    partition      integer     NOT NULL,
    tenant_id      uuid        NOT NULL,
    application_id uuid        NOT NULL,
    key_id         uuid        NOT NULL,
    public_id      text        NOT NULL COLLATE "C",
    environment    text        NOT NULL COLLATE "C",
    digest         text        NOT NULL COLLATE "C",
    scopes         text[]      NOT NULL,
    addresses      text[]      NOT NULL,
    expires_at     timestamptz,
    revoked_at     timestamptz,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, application_id, key_id, partition)
);
CREATE UNIQUE INDEX ON views.api_keys (public_id, partition);

-- As before, and in addition: a session that names a user sees the user's own memberships and profile, and one that
-- presents a key or an invitation sees that one. The platform's directory has users beside tenants.
CREATE OR REPLACE FUNCTION views.protect(in_schema text, view text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own       CONSTANT text := 'user_id = nullif(current_setting(''app.user_id'', true), '''')::uuid';
    platform  CONSTANT text := 'current_setting(''app.platform'', true) = ''on''';
    presented CONSTANT text := '%I = nullif(current_setting(%L, true), '''')';
    extra     record;
BEGIN
    EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', in_schema, view);
    EXECUTE format('ALTER TABLE %I.%I FORCE ROW LEVEL SECURITY', in_schema, view);
    EXECUTE format('CREATE POLICY reader ON %I.%I FOR SELECT TO counterfoil_reader
        USING (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)', in_schema, view);
    EXECUTE format('CREATE POLICY writer ON %I.%I TO counterfoil_writer USING (true) WITH CHECK (true)',
        in_schema, view);
    EXECUTE format('GRANT SELECT ON %I.%I TO counterfoil_reader', in_schema, view);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO counterfoil_writer', in_schema, view);
    FOR extra IN
        SELECT * FROM (VALUES
            ('tenants', 'platform', platform),
            ('users', 'platform', platform),
            ('users', 'own', own),
            ('members', 'own', own),
            ('api_keys', 'presented', format(presented, 'public_id', 'app.public_key')),
            ('invitations', 'presented', format(presented, 'digest', 'app.invitation'))
        ) AS policy (of_view, name, condition) WHERE of_view = view
    LOOP
        EXECUTE format('CREATE POLICY %I ON %I.%I FOR SELECT TO counterfoil_reader USING (%s)',
            extra.name, in_schema, view, extra.condition);
    END LOOP;
END $$;

SELECT views.protect('views', view)
FROM UNNEST(ARRAY['members', 'invitations', 'users', 'applications', 'api_keys']) AS view;
