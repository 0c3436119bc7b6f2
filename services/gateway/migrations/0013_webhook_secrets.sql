-- While an app secret is rotated, the one before it signs too, until a moment. It is sealed as the current one: for the same place.
ALTER TABLE numbers
    ADD COLUMN sealed_previous_app_secret text,
    ADD COLUMN previous_app_secret_until  timestamptz,
    ADD CHECK ((sealed_previous_app_secret IS NULL) = (previous_app_secret_until IS NULL));

-- What was set aside, as its tenant looks through it. Payloads that wait are not in it.
CREATE INDEX webhooks_quarantined ON webhooks (tenant_id, id) WHERE quarantined IS NOT NULL;
COMMENT ON COLUMN webhooks.tenant_id IS 'Empty: signed, and nobody''s alone. Such a payload is set aside at once, for operators.';
