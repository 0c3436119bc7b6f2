"""The provider's own API, put together: what serves it, and what it passes on."""

from __future__ import annotations

from services.gateway.accept import Acceptance
from services.gateway.domain.media_url import MediaUrls
from services.gateway.forward import Door
from services.gateway.graph.client import GraphClient
from services.gateway.graph.nodes import Nodes
from services.gateway.lookups import Lookups
from services.gateway.media import Media
from services.gateway.media_fetch import Fetcher
from services.gateway.routes.graph.call import Call
from services.gateway.routes.graph.door import GraphRoutes
from services.gateway.routes.graph.files import FileOperations
from services.gateway.routes.graph.passing import Passage
from services.gateway.routes.graph.provider_files import ProviderFiles
from services.gateway.routes.graph.sending import Sending
from services.gateway.routes.graph.subscriptions import Subscriptions
from services.gateway.store import templates as store
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.every import Every
from shared.http.routes import Route


def front_door(  # noqa: PLR0913  # what it is made of, all by name
    *,
    client: GraphClient,
    file_client: GraphClient,
    acceptance: Acceptance,
    lookups: Lookups,
    outbox: Outbox,
    media: Media,
    fetcher: Fetcher,
    urls: MediaUrls,
    callbacks: Door,
    templates: Every,
    public_url: str,
    clock: Clock,
) -> list[Route]:
    """`file_client` bears that a file takes its time, `callbacks` leads to who keeps them, `templates` reads the accounts'
    templates."""
    nodes = Nodes(client.pool, clock)

    async def templates_changed(call: Call) -> None:
        async with outbox.transaction() as unit:
            await store.make_due(unit.connection, call.tenant_id)
        templates.wake()

    passage = Passage(client, nodes, public_url, templates_changed)
    elsewhere = ProviderFiles(file_client, urls, public_url, clock)
    files = FileOperations(media, fetcher, urls, public_url, outbox, nodes, passage, elsewhere, clock)
    return [
        *elsewhere.routes(),
        *GraphRoutes(
            Sending(acceptance, lookups, outbox, nodes, files, passage),
            files,
            Subscriptions(callbacks, nodes, passage, client.pool, client.sealer),
            passage,
        ).routes(),
    ]
