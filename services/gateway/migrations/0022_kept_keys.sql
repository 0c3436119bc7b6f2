-- Keys of digests that stay what they are when the master key changes, sealed with it.
CREATE TABLE kept_keys (
    name       text COLLATE "C" PRIMARY KEY,
    sealed_key text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
