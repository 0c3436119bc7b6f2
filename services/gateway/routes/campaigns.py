"""The campaigns' door: tenants are authenticated here, then the scheduler answers through us."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from services.gateway.forward import Door
from services.scheduler.payloads.campaigns import (
    CampaignBody,
    CampaignPage,
    CampaignQuery,
    CampaignStats,
    CampaignView,
    ChangeCampaign,
    PreflightView,
    RecipientPage,
    RecipientQuery,
    RecipientStateQuery,
    StatsQuery,
)
from shared.http.problem import Problem
from shared.http.routes import Route

TAG: Final = "Campaigns"
CSV: Final = "text/csv"
_LIST: Final = "/api/campaigns"
_ONE: Final = "/api/campaigns/{campaign_id:cmp_[0-9a-v]{26}}"


def routes(door: Door) -> Sequence[Route]:
    """What the scheduler answers of campaigns."""
    look = partial(Route, "GET", handler=door.forward, tag=TAG)
    act = partial(Route, "POST", handler=door.forward, tag=TAG, idempotent=True)
    refused = {404: Problem, 409: Problem, 422: Problem}
    return [
        act(
            path=_LIST,
            summary="Draft a campaign",
            request=CampaignBody,
            responses={201: CampaignView, 422: Problem},
            request_examples={
                "to a group": {
                    "name": "Spring sale",
                    "audience": {"group_id": "grp_06h0000000000000000000000g"},
                    "content": {"type": "text", "text": {"body": "Hello {{name}}, it is spring."}},
                }
            },
        ),
        look(
            path=_LIST,
            summary="List campaigns, the latest first",
            query=CampaignQuery,
            responses={200: CampaignPage, 400: Problem},
        ),
        look(path=_ONE, summary="One campaign and where it is", responses={200: CampaignView, 404: Problem}),
        Route(
            "PATCH",
            _ONE,
            door.forward,
            "Change a draft",
            TAG,
            request=ChangeCampaign,
            responses={200: CampaignView, **refused},
            idempotent=True,
        ),
        Route("DELETE", _ONE, door.forward, "Delete a draft", TAG, responses={204: None, 404: Problem, 409: Problem}),
        act(
            path=f"{_ONE}/preflight",
            summary="Look a draft over",
            responses={202: PreflightView, **refused},
            description="Finds the audience and renders each message, and sends nothing. Read the result with GET.",
        ),
        look(
            path=f"{_ONE}/preflight",
            summary="What a preflight has found",
            responses={200: PreflightView, 404: Problem},
        ),
        act(
            path=f"{_ONE}/start",
            summary="Start a draft",
            responses={202: CampaignView, **refused},
            description="The audience is frozen now; messages leave from `starts_at` on.",
        ),
        act(
            path=f"{_ONE}/pause",
            summary="Pause a campaign",
            responses={200: CampaignView, **refused},
            description="Nothing more leaves until it is resumed.",
        ),
        act(path=f"{_ONE}/resume", summary="Resume a campaign", responses={200: CampaignView, **refused}),
        act(
            path=f"{_ONE}/cancel",
            summary="Cancel a campaign",
            responses={200: CampaignView, **refused},
            description="Whatever has not left ends as `canceled`.",
        ),
        look(
            path=f"{_ONE}/stats",
            summary="Figures by variant, by failure and over time",
            query=StatsQuery,
            responses={200: CampaignStats, 404: Problem},
        ),
        look(
            path=f"{_ONE}/recipients",
            summary="What became of each recipient",
            query=RecipientQuery,
            responses={200: RecipientPage, 400: Problem, 404: Problem},
        ),
        look(
            path=f"{_ONE}/recipients.csv",
            summary="What became of each recipient, as CSV",
            query=RecipientStateQuery,
            responses={200: None, 404: Problem},
            produces=CSV,
            description="A cell that a spreadsheet could take for a formula begins with an apostrophe. Phone numbers keep their "
            "plus sign: with digits alone behind it they can be nothing but numbers.",
        ),
    ]
