-- no transaction
-- A message without a run has no entry here, so most are stored as cheaply as before.
CREATE INDEX CONCURRENTLY messages_run ON messages (tenant_id, run_id, id) WHERE run_id IS NOT NULL;
