"""Rows of the archive by the ten thousand, for questions about plans."""

from __future__ import annotations

from typing import Final

FILL: Final = """
SET search_path = archive;
INSERT INTO conversations (id, tenant_id, number_id, contact_phone)
SELECT 'cnv_' || n, 't', 'n', n::text FROM generate_series(0, 499) n;
INSERT INTO entries (id, sent_at, tenant_id, conversation_id, direction, wamid, type, content)
SELECT 'ent_' || n, timestamptz '2026-11-20' - make_interval(mins => n), 't', 'cnv_' || n % 500, 'incoming', 'w' || n, 'text', '{}'
FROM generate_series(1, 80000) n;
INSERT INTO incoming (number_id, wamid, tenant_id, entry_id, sent_at)
SELECT 'n', wamid, tenant_id, id, sent_at FROM entries;
INSERT INTO search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
SELECT sent_at, conversation_no, 1, false, entries.id, 'text', '', ''
FROM entries JOIN conversations ON conversations.id = conversation_id;
INSERT INTO entry_versions (entry_id, sent_at, since, content) SELECT id, sent_at, '-infinity', '{}' FROM entries;
INSERT INTO outgoing (tenant_id, message_id, height, status, status_at) SELECT 't', id, 1, 'queued', sent_at FROM entries;
INSERT INTO amendments (event_id, tenant_id, number_id, wamid, kind, at, content, contact_phone)
SELECT 'evt_' || n, 't', 'n', 'w' || n, 'reaction', now(), '{}', n % 500 FROM generate_series(1, 1000) n;
ANALYZE;
"""
"""80,000 entries of 500 conversations over two months."""
