-- The journal: every change of every tenant, in order, for good.

-- Two roles that own nothing. Readers see one tenant; writers may add events and never change them.
DO $$ BEGIN
    CREATE ROLE counterfoil_reader NOLOGIN NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN
    CREATE ROLE counterfoil_writer NOLOGIN NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN
    EXECUTE format('GRANT counterfoil_reader, counterfoil_writer TO %I', current_user);
EXCEPTION WHEN unique_violation THEN NULL; END $$;

CREATE SCHEMA journal;
CREATE SCHEMA views;
GRANT USAGE ON SCHEMA journal, views TO counterfoil_reader, counterfoil_writer;

-- One row per partition: the position of its newest event, and the epoch of the writer that may move it.
CREATE TABLE journal.heads (
    partition   integer PRIMARY KEY,
    position    bigint NOT NULL DEFAULT 0,
    epoch       bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT '-infinity'
);

-- Facts about this database that never change: its id, and how many partitions it has.
CREATE TABLE journal.identity (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    database_id uuid NOT NULL,
    partitions  integer NOT NULL CHECK (partitions BETWEEN 1 AND 1024)
);

CREATE TABLE journal.events (
    partition       integer     NOT NULL,
    position        bigint      NOT NULL,
    tenant_id       uuid        NOT NULL,
    aggregate_type  text        NOT NULL COLLATE "C",
    aggregate_id    uuid        NOT NULL,
    sequence        bigint      NOT NULL,
    event_type      text        NOT NULL COLLATE "C",
    event_version   integer     NOT NULL,
    payload         jsonb       NOT NULL,
    recorded_at     timestamptz NOT NULL,
    -- When the event took effect, where that was said.
    effective_at    timestamptz,
    command_id      uuid        NOT NULL,
    -- Only on the first event of a command: who asked, and under which key.
    metadata        jsonb,
    idempotency_key text COLLATE "C",
    fingerprint     bytea,
    CONSTRAINT events_position_key PRIMARY KEY (partition, position),
    CONSTRAINT events_stream_key UNIQUE (aggregate_id, sequence, partition)
);
CREATE UNIQUE INDEX events_idempotency_key ON journal.events (tenant_id, idempotency_key, partition)
    WHERE idempotency_key IS NOT NULL;
-- One tenant's history costs by that tenant's events.
CREATE INDEX events_tenant ON journal.events (tenant_id, position);
CREATE INDEX events_commands ON journal.events (tenant_id, position) WHERE metadata IS NOT NULL;
CREATE INDEX events_effective ON journal.events (aggregate_id, effective_at) WHERE effective_at IS NOT NULL;

CREATE FUNCTION journal.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'journal.events is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.events
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();

-- The state of long streams, so that the writer need not read them whole. A projection: disposable.
CREATE TABLE views.snapshots (
    partition      integer NOT NULL,
    tenant_id      uuid    NOT NULL,
    aggregate_type text    NOT NULL COLLATE "C",
    aggregate_id   uuid    NOT NULL,
    sequence       bigint  NOT NULL,
    -- The form of the state; a program that knows another one ignores the snapshot.
    form           integer NOT NULL,
    state          jsonb   NOT NULL,
    PRIMARY KEY (aggregate_id, partition)
);

-- How far the relay got, as acknowledged by JetStream.
CREATE TABLE journal.relay (
    partition integer PRIMARY KEY,
    position  bigint NOT NULL
);

-- The journal as postgres-es expects an event store: payloads with their variant's name around them.
CREATE VIEW journal.cqrs_events AS
SELECT aggregate_type,
       aggregate_id::text AS aggregate_id,
       sequence,
       event_type,
       event_version::text AS event_version,
       jsonb_build_object(event_type, payload)::json AS payload,
       coalesce(metadata, '{}')::json AS metadata
FROM journal.events;

-- The newest position of a partition such that none of the tenant's events up to it was recorded after
-- `moment`, and all of them behind it were. `recorded_at` never runs backwards within a partition, so this is
-- a binary search; it looks at the tenant's own events alone, as a reader sees no others.
CREATE FUNCTION journal.position_at(of_partition integer, of_tenant uuid, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
    nearest record;
BEGIN
    SELECT coalesce(max(position), 0) INTO high FROM journal.events
        WHERE tenant_id = of_tenant AND partition = of_partition;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        SELECT position, recorded_at INTO nearest FROM journal.events
            WHERE tenant_id = of_tenant AND partition = of_partition AND position > low AND position <= middle
            ORDER BY position DESC LIMIT 1;
        IF nearest.recorded_at > moment THEN
            high := nearest.position - 1;
        ELSE
            low := middle;
        END IF;
    END LOOP;
    RETURN low;
END $$;

-- The same for the sequence of a stream.
CREATE FUNCTION journal.sequence_at(of_partition integer, of_stream uuid, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
BEGIN
    SELECT coalesce(max(sequence), 0) INTO high FROM journal.events
        WHERE aggregate_id = of_stream AND partition = of_partition;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT recorded_at <= moment FROM journal.events
            WHERE aggregate_id = of_stream AND sequence = middle AND partition = of_partition) IS TRUE THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;

GRANT SELECT ON journal.heads, journal.identity, journal.events, views.snapshots TO counterfoil_reader;
GRANT SELECT, INSERT ON journal.events TO counterfoil_writer;
GRANT SELECT, UPDATE ON journal.heads TO counterfoil_writer;
GRANT SELECT ON journal.identity TO counterfoil_writer;
GRANT SELECT, INSERT, UPDATE ON journal.relay TO counterfoil_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON views.snapshots TO counterfoil_writer;

-- Row-level security, forced on the owner too. The reader's tenant is set for each transaction.

ALTER TABLE journal.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE journal.events FORCE ROW LEVEL SECURITY;
CREATE POLICY reader ON journal.events FOR SELECT TO counterfoil_reader
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY writer_reads ON journal.events FOR SELECT TO counterfoil_writer USING (true);
CREATE POLICY writer_appends ON journal.events FOR INSERT TO counterfoil_writer WITH CHECK (true);

ALTER TABLE views.snapshots ENABLE ROW LEVEL SECURITY;
ALTER TABLE views.snapshots FORCE ROW LEVEL SECURITY;
CREATE POLICY reader ON views.snapshots FOR SELECT TO counterfoil_reader
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY writer ON views.snapshots TO counterfoil_writer USING (true) WITH CHECK (true);
