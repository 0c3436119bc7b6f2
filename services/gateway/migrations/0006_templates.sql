-- Templates of both kinds: texts of our own, and WhatsApp's as the provider last described them. `held` is the code of the reason
-- why a WhatsApp template cannot be sent (services/gateway/domain/template.py); `status_at` orders what is told of it.
CREATE TABLE templates (
    id               text COLLATE "C" NOT NULL,
    tenant_id        text COLLATE "C" NOT NULL REFERENCES tenants,
    kind             text        NOT NULL CHECK (kind IN ('text', 'whatsapp')),
    name             text COLLATE "C" NOT NULL,
    language         text COLLATE "C" NOT NULL,
    body             text,
    defaults         jsonb       NOT NULL DEFAULT '{}',
    account_id       text COLLATE "C",
    provider_id      text,
    status           text,
    held             text,
    status_at        timestamptz,
    category         text,
    quality          text,
    reason           text,
    parameter_format text,
    components       jsonb,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CHECK ((kind = 'text') = (body IS NOT NULL)),
    CHECK ((kind = 'whatsapp') = (account_id IS NOT NULL) AND (kind = 'whatsapp') = (status IS NOT NULL)
           AND (kind = 'whatsapp') = (status_at IS NOT NULL))
);
CREATE UNIQUE INDEX templates_text ON templates (tenant_id, name, language) WHERE kind = 'text';
CREATE UNIQUE INDEX templates_whatsapp ON templates (tenant_id, account_id, name, language) WHERE kind = 'whatsapp';
CREATE INDEX templates_named ON templates (tenant_id, name, language);

-- When an account's templates were read, and when they are due again. A row comes with the account's first reading.
CREATE TABLE template_accounts (
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenants,
    account_id text COLLATE "C" NOT NULL,
    due_at     timestamptz NOT NULL,
    synced_at  timestamptz,
    fault      text,
    PRIMARY KEY (tenant_id, account_id)
);

-- Content without a recipient.
CREATE TABLE drafts (
    id         text COLLATE "C" NOT NULL,
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenants,
    name       text,
    content    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
