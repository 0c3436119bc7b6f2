-- no transaction
CREATE INDEX CONCURRENTLY messages_reference ON messages (tenant_id, reference, id) WHERE reference IS NOT NULL;
