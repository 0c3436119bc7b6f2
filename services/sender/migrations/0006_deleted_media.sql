-- Of a file that was deleted only its id is kept, for a while: what was told of it earlier may come later.
ALTER TABLE media
    ALTER COLUMN object_key DROP NOT NULL,
    ALTER COLUMN mime_type DROP NOT NULL,
    ALTER COLUMN size_bytes DROP NOT NULL,
    ALTER COLUMN sha256 DROP NOT NULL,
    ADD COLUMN deleted_at timestamptz,
    ADD CHECK (
        CASE WHEN deleted_at IS NULL THEN num_nulls(object_key, mime_type, size_bytes, sha256) = 0
             ELSE num_nonnulls(object_key, mime_type, size_bytes, sha256, file_name) = 0 END
    );
CREATE INDEX media_of_bytes ON media (tenant_id, sha256) WHERE deleted_at IS NULL;
CREATE INDEX media_deleted ON media (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX media_uploads_of_bytes ON media_uploads (tenant_id, sha256);

-- Copies at the provider that nobody needs any more. Who asks it to delete one moves `due_at` beyond the end of its lease.
CREATE TABLE media_removals (
    number_id text COLLATE "C" NOT NULL,
    handle    text COLLATE "C" NOT NULL,
    tries     integer     NOT NULL DEFAULT 0,
    due_at    timestamptz NOT NULL,
    PRIMARY KEY (number_id, handle)
);
CREATE INDEX media_removals_due ON media_removals (due_at);
