-- The read models of metered calls: what tenants offer, what wallets may use, the calls, and what they came to.
-- Names of what does not exist are empty, and ids nil, where a column is part of a key.

-- What a tenant offers: levels, policies, providers, models, prices. `state` is the fold of its one stream.
CREATE TABLE views.catalogues (
    partition   integer     NOT NULL,
    tenant_id   uuid        NOT NULL,
    sequence    bigint      NOT NULL,
    -- When it last changed.
    recorded_at timestamptz NOT NULL,
    state       jsonb       NOT NULL,
    PRIMARY KEY (tenant_id, partition)
);

-- What wallets may use, one row each. `state` is the fold of the allowance's stream.
CREATE TABLE views.allowances (
    partition    integer     NOT NULL,
    tenant_id    uuid        NOT NULL,
    allowance_id uuid        NOT NULL,
    wallet_id    uuid        NOT NULL,
    path         text        NOT NULL COLLATE "C",
    level        text        COLLATE "C",
    user_ref     text        COLLATE "C",
    debt         numeric     NOT NULL,
    -- When something is to be done by itself: a period ends or a grant expires.
    due_at       timestamptz,
    sequence     bigint      NOT NULL,
    -- When it last changed.
    recorded_at  timestamptz NOT NULL,
    state        jsonb       NOT NULL,
    PRIMARY KEY (allowance_id, partition)
) WITH (fillfactor = 70);
CREATE INDEX ON views.allowances (tenant_id, path);
CREATE INDEX ON views.allowances (tenant_id, level, path) WHERE level IS NOT NULL;
CREATE INDEX ON views.allowances (tenant_id, user_ref, path) WHERE user_ref IS NOT NULL;
-- What the sweeper looks for.
CREATE INDEX ON views.allowances (partition, due_at, allowance_id) WHERE due_at IS NOT NULL;
CREATE INDEX ON views.allowances (partition, allowance_id) WHERE debt > 0;
CREATE INDEX ON views.allowances (tenant_id, path) WHERE debt > 0;

-- Metered calls, for lists and filters. `state` is the fold of the execution's stream.
CREATE TABLE views.executions (
    partition      integer     NOT NULL,
    tenant_id      uuid        NOT NULL,
    execution_id   uuid        NOT NULL,
    -- The position of the execution's first event: the order of lists.
    position       bigint      NOT NULL,
    sequence       bigint      NOT NULL,
    status         text        NOT NULL COLLATE "C",
    wallet_id      uuid        NOT NULL,
    application_id uuid,
    user_ref       text        COLLATE "C",
    -- The model that was asked for, and the provider that answered last.
    model          text        NOT NULL COLLATE "C",
    provider       text        COLLATE "C",
    cost           numeric,
    recorded_at    timestamptz NOT NULL,
    ended_at       timestamptz,
    -- Only while it is running: what the sweeper looks for.
    expires_at     timestamptz,
    state          jsonb       NOT NULL,
    PRIMARY KEY (execution_id, partition)
) WITH (fillfactor = 85);
CREATE INDEX ON views.executions (tenant_id, position);
CREATE INDEX ON views.executions (tenant_id, wallet_id, position);
CREATE INDEX ON views.executions (tenant_id, model, position);
CREATE INDEX ON views.executions (tenant_id, application_id, position) WHERE application_id IS NOT NULL;
CREATE INDEX ON views.executions (tenant_id, user_ref, position) WHERE user_ref IS NOT NULL;
CREATE INDEX ON views.executions (tenant_id, provider, position) WHERE provider IS NOT NULL;
CREATE INDEX ON views.executions (tenant_id, status, position) WHERE status <> 'completed';
CREATE INDEX ON views.executions (partition, expires_at) WHERE expires_at IS NOT NULL;

-- What the calls came to, by the quarter of an hour in which they ended. Quarters, because every time zone of today is
-- a whole number of them away from UTC: hours and days of any zone are sums of rows.
CREATE TABLE views.usage_quarters (
    partition        integer     NOT NULL,
    tenant_id        uuid        NOT NULL,
    quarter          timestamptz NOT NULL,
    wallet_id        uuid        NOT NULL,
    application_id   uuid        NOT NULL,
    user_ref         text        NOT NULL COLLATE "C",
    provider         text        NOT NULL COLLATE "C",
    model            text        NOT NULL COLLATE "C",
    outcome          text        NOT NULL COLLATE "C",
    asset            text        NOT NULL COLLATE "C",
    path             text        NOT NULL COLLATE "C",
    calls            bigint      NOT NULL,
    -- Tokens, in buckets that do not overlap.
    input            numeric     NOT NULL,
    cache_read       numeric     NOT NULL,
    cache_write      numeric     NOT NULL,
    cache_write_long numeric     NOT NULL,
    output           numeric     NOT NULL,
    reasoning        numeric     NOT NULL,
    cost             numeric     NOT NULL,
    -- Histograms of milliseconds, of the buckets that are not empty: each element is the number of a bucket times 2^32
    -- plus how many calls fell into it. Milliseconds below 16 are their own buckets; above, each power of two is
    -- divided into 16 buckets.
    first_token      bigint[]    NOT NULL,
    total            bigint[]    NOT NULL,
    PRIMARY KEY (tenant_id, wallet_id, quarter, application_id, user_ref, provider, model, outcome, asset, partition)
) WITH (fillfactor = 70);
CREATE INDEX ON views.usage_quarters (tenant_id, quarter);

-- The sum of two such histograms.
CREATE FUNCTION views.merged(one bigint[], other bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg((bucket << 32) + calls ORDER BY bucket), '{}')
    FROM (
        SELECT element >> 32 AS bucket, sum(element & 4294967295)::bigint AS calls
        FROM UNNEST(one || other) AS element GROUP BY 1
    ) AS buckets
$$;

SELECT views.protect('views', view)
FROM UNNEST(ARRAY['catalogues', 'allowances', 'executions', 'usage_quarters']) AS view;
