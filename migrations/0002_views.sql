-- The read models. Each can be dropped and filled again from the journal; none is ever the truth.
-- A rebuild fills tables of the same names in another schema and swaps them, so their queries name no schema.

-- How far each read model got in each partition.
CREATE TABLE views.checkpoints (
    projection text    NOT NULL COLLATE "C",
    partition  integer NOT NULL,
    position   bigint  NOT NULL,
    PRIMARY KEY (projection, partition)
);

CREATE TABLE views.tenants (
    partition   integer     NOT NULL,
    tenant_id   uuid        NOT NULL,
    slug        text        NOT NULL COLLATE "C",
    name        text        NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, partition)
);
CREATE INDEX ON views.tenants (slug);

CREATE TABLE views.assets (
    partition integer NOT NULL,
    tenant_id uuid    NOT NULL,
    code      text    NOT NULL COLLATE "C",
    scale     integer NOT NULL,
    PRIMARY KEY (tenant_id, code, partition)
);

-- Wallets with their balances. Amounts are decimal numbers with the asset's digits.
CREATE TABLE views.balances (
    partition   integer     NOT NULL,
    tenant_id   uuid        NOT NULL,
    wallet_id   uuid        NOT NULL,
    path        text        NOT NULL COLLATE "C",
    asset       text        NOT NULL COLLATE "C",
    scale       integer     NOT NULL,
    status      text        NOT NULL COLLATE "C",
    minimum     numeric,
    metadata    jsonb       NOT NULL,
    posted      numeric     NOT NULL,
    held        numeric     NOT NULL,
    incoming    numeric     NOT NULL,
    sequence    bigint      NOT NULL,
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (wallet_id, partition)
) WITH (fillfactor = 70);
CREATE INDEX ON views.balances (tenant_id, path);

-- Transactions, for lists and filters. `state` is the fold of the transaction's stream.
CREATE TABLE views.transactions (
    partition      integer     NOT NULL,
    tenant_id      uuid        NOT NULL,
    transaction_id uuid        NOT NULL,
    -- The position of the transaction's first event: the order of lists.
    position       bigint      NOT NULL,
    sequence       bigint      NOT NULL,
    status         text        NOT NULL COLLATE "C",
    recorded_at    timestamptz NOT NULL,
    effective_at   timestamptz NOT NULL,
    -- Only while the transaction is pending: what the sweeper looks for.
    expires_at     timestamptz,
    metadata       jsonb,
    state          jsonb       NOT NULL,
    PRIMARY KEY (transaction_id, partition)
) WITH (fillfactor = 85);
CREATE INDEX ON views.transactions (tenant_id, position);
CREATE INDEX ON views.transactions (tenant_id, effective_at, position);
CREATE INDEX ON views.transactions (tenant_id, status, position) WHERE status NOT IN ('posted', 'settled');
CREATE INDEX ON views.transactions (partition, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX ON views.transactions USING gin (metadata jsonb_path_ops) WHERE metadata IS NOT NULL;

-- Row-level security and grants of a read model's table. A rebuild gives its new tables the same.
CREATE FUNCTION views.protect(in_schema text, view text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', in_schema, view);
    EXECUTE format('ALTER TABLE %I.%I FORCE ROW LEVEL SECURITY', in_schema, view);
    EXECUTE format('CREATE POLICY reader ON %I.%I FOR SELECT TO counterfoil_reader
        USING (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)', in_schema, view);
    EXECUTE format('CREATE POLICY writer ON %I.%I TO counterfoil_writer USING (true) WITH CHECK (true)',
        in_schema, view);
    EXECUTE format('GRANT SELECT ON %I.%I TO counterfoil_reader', in_schema, view);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO counterfoil_writer', in_schema, view);
    IF view = 'tenants' THEN
        -- The platform's directory of tenants is read across tenants, by a superadmin alone.
        EXECUTE format('CREATE POLICY platform ON %I.%I FOR SELECT TO counterfoil_reader
            USING (current_setting(''app.platform'', true) = ''on'')', in_schema, view);
    END IF;
END $$;

SELECT views.protect('views', view) FROM UNNEST(ARRAY['tenants', 'assets', 'balances', 'transactions']) AS view;
GRANT SELECT ON views.checkpoints TO counterfoil_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON views.checkpoints TO counterfoil_writer;
