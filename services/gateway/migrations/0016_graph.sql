-- What the front door keeps of a message that was accepted there: the caller's callback data and how it wrote the recipient. NULL for
-- all others.
ALTER TABLE messages ADD COLUMN graph jsonb;

-- Which message a provider's wamid names, for those messages only: people quote it and react to it under the provider's.
CREATE TABLE graph_ids (
    tenant_id  text COLLATE "C" NOT NULL,
    wamid      text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    learned_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, wamid)
);
CREATE INDEX graph_ids_learned_at ON graph_ids USING brin (learned_at);

-- Whose a template is by the provider's id.
CREATE INDEX templates_provider_id ON templates (provider_id) WHERE provider_id IS NOT NULL;
