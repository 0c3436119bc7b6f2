-- What the provider's webhooks say of a number, one row for each thing that can be said: its quality, its name, its limits. Of two words
-- on one thing the later counts.
CREATE TABLE number_health (
    tenant_id text COLLATE "C" NOT NULL,
    number_id text COLLATE "C" NOT NULL,
    aspect    text COLLATE "C" NOT NULL,
    value     text,
    told_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, number_id, aspect)
);

-- News that have no id of their own, by a digest: each is told once, however often the provider repeats it.
CREATE TABLE taken_news (
    tenant_id text COLLATE "C" NOT NULL,
    digest    bytea       NOT NULL,
    taken_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, digest)
);
CREATE INDEX taken_news_age ON taken_news (taken_at);
