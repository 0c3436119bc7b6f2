"""Loops on the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.gateway.contact_import import Imports
from services.gateway.erase import Erasures
from services.gateway.media import Media
from services.gateway.store import contact_imports, graph_ids, news, pruning
from services.gateway.template_sync import TemplateSync
from services.gateway.webhooks.ingest import WebhookReader
from shared import idempotency
from shared.db.pool import Pool
from shared.every import Every

READ_SECONDS: Final = 1.0
"""Longest wait before a payload that another replica left behind is read; our own intake wakes the reader at once."""
TEMPLATE_SECONDS: Final = 15.0
"""Between two looks for an account whose templates are due to be read."""
LEFTOVER_SECONDS: Final = 30.0
ERASE_SECONDS: Final = 2.0
PRUNE_SECONDS: Final = 3_600.0
PRUNE_LIMIT: Final = 5_000
"""Rows that one statement forgets; where there are more, the next follows at once."""
INBOUND_KEPT: Final = timedelta(days=15)
"""The provider repeats itself for up to seven, and what was set aside can be read again for as long as it is kept."""
IMPORTS_KEPT: Final = timedelta(days=30)
ABANDONED_KEPT: Final = timedelta(hours=1)
"""Since the last part of a file that did not come whole."""
QUARANTINED_KEPT: Final = timedelta(days=14)
"""They hold what people wrote; a version that understands them must come sooner."""


def reader_job(reader: WebhookReader) -> Every:
    """The reader of webhooks, to be woken when one was stored."""
    return Every("gateway.read_webhooks", READ_SECONDS, reader.read_waiting)


def template_job(sync: TemplateSync) -> Every:
    """The reader of the provider's templates, to be woken when somebody asks for it."""
    return Every("gateway.read_templates", TEMPLATE_SECONDS, sync.read_due)


def import_job(imports: Imports) -> Every:
    """The reader of files of contacts, to be woken when one was stored."""
    return Every("gateway.import_contacts", READ_SECONDS, imports.work)


def media_job(media: Media) -> Every:
    """Removes the objects of files that are gone."""
    return Every("gateway.remove_leftovers", LEFTOVER_SECONDS, media.remove_leftovers)


def erase_job(erasures: Erasures) -> Every:
    """Goes on with erasures, to be woken when one was asked for."""
    return Every("gateway.erase", ERASE_SECONDS, erasures.work)


def jobs(pool: Pool) -> list[Every]:
    """The others."""

    def pruner(name: str, query: str, age: timedelta) -> Every:
        return Every(name, PRUNE_SECONDS, lambda: pruning.prune(pool, query, age=age, limit=PRUNE_LIMIT))

    return [
        Every("gateway.prune_keys", PRUNE_SECONDS, lambda: idempotency.prune(pool, limit=PRUNE_LIMIT)),
        pruner("gateway.prune_inbound", pruning.PRUNE_INBOUND, INBOUND_KEPT),
        pruner("gateway.prune_graph_ids", graph_ids.PRUNE_GRAPH_IDS, graph_ids.KEPT),
        pruner("gateway.forget_previous_secrets", pruning.FORGET_PREVIOUS_SECRETS, timedelta()),
        pruner("gateway.prune_news", news.PRUNE_NEWS, INBOUND_KEPT),
        pruner("gateway.prune_quarantined", pruning.PRUNE_QUARANTINED, QUARANTINED_KEPT),
        pruner("gateway.discard_abandoned_imports", contact_imports.DISCARD_ABANDONED, ABANDONED_KEPT),
        pruner("gateway.prune_import_errors", contact_imports.PRUNE_ERRORS, IMPORTS_KEPT),
        pruner("gateway.prune_imports", contact_imports.PRUNE_IMPORTS, IMPORTS_KEPT),
    ]
