-- What analytics are read from, so that no question about a year reads the year's messages (docs/decisions/0013).

-- Marks are only added and taken away, never found again by whoever adds the next one: a mark of a transaction that is still going on
-- cannot get lost to the counting that has just begun, and nobody waits for anybody.
ALTER TABLE stale_days
    DROP CONSTRAINT stale_days_pkey,
    ADD COLUMN mark_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ADD COLUMN marked_at timestamptz NOT NULL DEFAULT now();

CREATE INDEX stale_days_by_day ON stale_days (conversation_no, day);
CREATE INDEX stale_days_by_time ON stale_days (marked_at, conversation_no, day);

-- A day (UTC) of a conversation, or of a whole tenant, in counters. domain/statistics.py names them.
CREATE TABLE day_statistics (
    subject bigint NOT NULL,                        -- conversation_no; of a whole tenant: minus its tenant_no
    day date NOT NULL,
    tenant_no integer NOT NULL,
    counts jsonb NOT NULL,                          -- {counter: number}
    messages integer NOT NULL DEFAULT 0,            -- of conversations; large days are counted less often
    first_at timestamptz,                           -- of conversations: the day's first and last message
    last_at timestamptz,
    recheck_at timestamptz,                         -- messages of this day may still be delivered or read
    PRIMARY KEY (subject, day)
) WITH (fillfactor = 80);

CREATE INDEX day_statistics_to_recheck ON day_statistics (recheck_at) WHERE recheck_at IS NOT NULL;

-- All days of a conversation in brief.
CREATE TABLE conversation_stats (
    conversation_no bigint PRIMARY KEY,
    tenant_no integer NOT NULL,
    message_count bigint NOT NULL,                  -- without notices
    participant_count integer NOT NULL,             -- who said something
    first_at timestamptz,
    last_at timestamptz,
    avg_message_length real,                        -- characters, of messages that have text
    counted_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);

CREATE INDEX conversation_stats_busiest ON conversation_stats (tenant_no, message_count DESC, conversation_no);

-- The words and emoji that most messages of a conversation's month hold; in how many of them.
CREATE TABLE month_words (
    conversation_no bigint NOT NULL,
    month date NOT NULL,
    words jsonb NOT NULL,
    emoji jsonb NOT NULL,
    PRIMARY KEY (conversation_no, month)
);

-- The same of all that a tenant's messages say, from the lexicon.
CREATE TABLE tenant_words (
    tenant_no integer PRIMARY KEY,
    words jsonb NOT NULL,
    emoji jsonb NOT NULL,
    stale_at timestamptz                            -- since when they are to be counted anew
);

CREATE INDEX tenant_words_stale ON tenant_words (stale_at) WHERE stale_at IS NOT NULL;

CREATE TABLE stale_months (
    mark_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_no bigint NOT NULL,
    month date NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX stale_months_by_month ON stale_months (conversation_no, month);
CREATE INDEX stale_months_by_time ON stale_months (marked_at, conversation_no, month);

-- Who follows the entries, and the rows that those lock who count: one process at a time.
INSERT INTO followers (name, stored_in) VALUES ('statistics', 0), ('statistics.days', 0), ('statistics.words', 0);

-- Two sets of counters as one; those that come to nothing are left out.
CREATE FUNCTION add_counts(one jsonb, other jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = archive, pg_temp AS $$
    SELECT coalesce(jsonb_object_agg(counter, number), '{}')
    FROM (
        SELECT counter, sum(number::bigint) AS number
        FROM (SELECT * FROM jsonb_each_text(one) UNION ALL SELECT * FROM jsonb_each_text(other)) AS each (counter, number)
        GROUP BY counter
        HAVING sum(number::bigint) <> 0
    ) AS added
$$;

-- What local models say of an entry. An entry without a row waits for them; one whose text was changed waits again.
CREATE TABLE annotations (
    entry_id text COLLATE "C" PRIMARY KEY,
    sent_at timestamptz NOT NULL,                   -- the entry's
    conversation_no bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('done', 'failed', 'stale')),
    model text COLLATE "C" NOT NULL,                -- which models, with their versions
    language text COLLATE "C",                      -- ISO 639; NULL where the text does not show it
    sentiment real CHECK (sentiment BETWEEN -1 AND 1),
    entities jsonb,                                 -- [{kind, text}]
    annotated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 90);

CREATE INDEX annotations_stale ON annotations (entry_id) WHERE state = 'stale';
