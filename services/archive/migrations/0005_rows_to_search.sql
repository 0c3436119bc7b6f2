-- The layout for search, imports and retention (docs/decisions/0012). Entries stay in partitions by month, which retention takes away
-- whole; what is searched stands beside them in one table, because an index a month makes every search ask every month.

-- Tenants and conversations get small numbers: the terms of the index and the rows of search carry them.
CREATE TABLE tenants (
    tenant_no integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL UNIQUE
);

INSERT INTO tenants (tenant_id) SELECT DISTINCT tenant_id FROM conversations ORDER BY tenant_id;

-- A conversation is what a number and a contact or a group wrote to each other, or a chat that was imported by itself: then its
-- number_id is '' and contact_phone is 'chat:' and its title, folded.
ALTER TABLE conversations
    ADD COLUMN conversation_no bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN title text,                          -- of a group or an imported chat
    ADD COLUMN read_until timestamptz,              -- everything up to here was marked as read
    ADD CONSTRAINT conversations_conversation_no_key UNIQUE (conversation_no);

-- Who speaks in a conversation of more than two, or in an imported one; in others the direction of an entry says it.
CREATE TABLE participants (
    participant_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,            -- prt_…
    tenant_no integer NOT NULL,
    conversation_no bigint NOT NULL,
    key text COLLATE "C" NOT NULL,                  -- 'address:' and a phone number or user id, or 'name:' and the folded name
    address text COLLATE "C",
    name text,
    is_business boolean NOT NULL DEFAULT false,     -- one of the tenant's own people: what it says is outgoing
    UNIQUE (conversation_no, key)
);

CREATE INDEX participants_by_address ON participants (tenant_no, address) WHERE address IS NOT NULL;

ALTER TABLE entries
    ADD COLUMN author_no bigint,                    -- participants; NULL in conversations of two
    ADD COLUMN import_no bigint;                    -- the import that brought it
ALTER TABLE entries DROP CONSTRAINT entries_key;
ALTER TABLE entries ADD CONSTRAINT entries_key
    CHECK (message_id IS NOT NULL OR wamid IS NOT NULL OR import_no IS NOT NULL) NOT VALID;

-- One row an entry: what it is found by. The text stands here and not in `entries`, whose `content` has it too.
CREATE TABLE search_rows (
    row_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- rises in the order of storing
    stored_in bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,  -- the transaction: what follows the rows goes by it
    sent_at timestamptz NOT NULL,                   -- this and entry_id: the key of the entry
    conversation_no bigint NOT NULL,
    author_no bigint,
    tenant_no integer NOT NULL,
    is_outgoing boolean NOT NULL,
    is_notice boolean NOT NULL DEFAULT false,       -- of WhatsApp, not of a person
    entry_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    body text NOT NULL,
    tsv tsvector NOT NULL                           -- domain/indexing.py; no positions
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);

INSERT INTO search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
SELECT entries.sent_at, conversations.conversation_no, tenants.tenant_no, entries.direction = 'outgoing', entries.id,
       CASE WHEN entries.revoked_at IS NULL THEN entries.type ELSE 'revoked' END,
       CASE WHEN entries.revoked_at IS NULL THEN entries.body ELSE '' END,
       array_to_tsvector(
           ARRAY(SELECT tenants.tenant_no || ':' || term FROM unnest(tsvector_to_array(entries.tsv)) AS term)
           || ARRAY[
               tenants.tenant_no || '~c' || conversations.conversation_no,
               tenants.tenant_no || '~m' || to_char(entries.sent_at AT TIME ZONE 'UTC', 'YYYYMM'),
               tenants.tenant_no || '~d' || to_char(entries.sent_at AT TIME ZONE 'UTC', 'YYYYMMDD')
           ]
           || CASE WHEN entries.type = 'text' OR entries.revoked_at IS NOT NULL THEN ARRAY[]::text[]
                   WHEN entries.type IN ('image', 'video', 'audio', 'document', 'sticker')
                   THEN ARRAY[tenants.tenant_no || '~t:' || entries.type, tenants.tenant_no || '~file']
                   ELSE ARRAY[tenants.tenant_no || '~t:' || entries.type] END
       )
FROM entries
JOIN conversations ON conversations.id = entries.conversation_id
JOIN tenants ON tenants.tenant_id = entries.tenant_id;

CREATE INDEX search_rows_by_tenant ON search_rows (tenant_no, sent_at, row_no);
CREATE INDEX search_rows_by_conversation ON search_rows (conversation_no, sent_at, row_no);
CREATE INDEX search_rows_by_transaction ON search_rows (stored_in);
CREATE INDEX search_rows_by_term ON search_rows USING gin (tsv) WITH (fastupdate = off);

DROP INDEX entries_by_term;
ALTER TABLE entries DROP COLUMN body, DROP COLUMN tsv;

-- How far the jobs that follow `search_rows` have come: everything of transactions before `stored_in` is done.
CREATE TABLE followers (
    name text COLLATE "C" PRIMARY KEY,
    stored_in bigint NOT NULL
);

-- Days whose entries were taken away or changed: their statistics are counted anew.
CREATE TABLE stale_days (
    conversation_no bigint NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (conversation_no, day)
);

-- The answers that were given under the callers' keys (shared/idempotency.py).
CREATE TABLE idempotency_keys (
    tenant_id   text COLLATE "C" NOT NULL,
    route       text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      smallint,
    answer      bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, route, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING brin (created_at);
