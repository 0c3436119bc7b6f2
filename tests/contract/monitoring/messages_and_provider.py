"""Of rules/messages.yml and rules/provider.yml."""

from __future__ import annotations

from typing import Final

from tests.contract.monitoring.case import Case, durations
from tests.support.alerting import Fired

_DUE: Final = "chasqui_hold_oldest_due_age_seconds"
_UNSENT: Final = "chasqui_sender_oldest_unsent_age_seconds"
_STATUSES: Final = "chasqui_message_statuses_total"
_ATTEMPTS: Final = "chasqui_attempts_total"
_SENT: Final = f'{_ATTEMPTS}{{outcome="sent", code=""}}'
_THROTTLED: Final = f'{_ATTEMPTS}{{outcome="deferred", code="provider.130429"}}'
_CALLBACKS: Final = "chasqui_callbacks_total"

CASES: Final = (
    Case(
        "ChasquiFastLaneWaits",
        fires={f'{_DUE}{{tier="critical", instance="a"}}': "100+0x10", f'{_DUE}{{tier="critical", instance="b"}}': "100+0x10"},
        quiet={f'{_DUE}{{tier="critical"}}': "30+0x10", f'{_DUE}{{tier="normal"}}': "600+0x10"},
        told=Fired({"tier": "critical"}, "A critical message has been due for 1m 40s and is not released"),
        at="5m",
    ),
    Case(
        "ChasquiMessagesOverdue",
        fires={f'{_DUE}{{tier="normal"}}': "1200+0x20", f'{_DUE}{{tier="low"}}': "25200+0x20"},
        quiet={f'{_DUE}{{tier="normal"}}': "900+0x20", f'{_DUE}{{tier="low"}}': "21600+0x20"},
        told=(
            Fired({"tier": "low"}, "A low message has been due for 7h 0m 0s and is not released"),
            Fired({"tier": "normal"}, "A normal message has been due for 20m 0s and is not released"),
        ),
    ),
    Case(
        "ChasquiReleasedLate",
        fires=durations("chasqui_release_lateness_seconds", 'tier="high"', ("2.5", "5"), 0.02),
        quiet={
            **durations("chasqui_release_lateness_seconds", 'tier="high"', ("0.5", "1"), 0.02),
            **durations("chasqui_release_lateness_seconds", 'tier="low"', ("300", "900"), 1),
        },
        told=Fired({"tier": "high"}, "One in a hundred high messages is released more than 3.75s late"),
    ),
    Case(
        "ChasquiReleasedNotSent",
        fires={
            f'{_UNSENT}{{tier="normal", instance="a"}}': "180+0x10",
            f'{_UNSENT}{{tier="normal", instance="b"}}': "180+0x10",
        },
        quiet={f'{_UNSENT}{{tier="normal"}}': "120+0x10"},
        told=Fired({"tier": "normal"}, "A normal message was released 3m 0s ago and is not sent"),
        at="5m",
    ),
    Case(
        "ChasquiMessagesFail",
        fires={f'{_STATUSES}{{status="sent"}}': "0+80x40", f'{_STATUSES}{{status="failed"}}': "0+20x40"},
        quiet={f'{_STATUSES}{{status="sent"}}': "0+91x40", f'{_STATUSES}{{status="failed"}}': "0+9x40"},
        told=Fired({}, "20% of the messages fail for good"),
        at="30m",
    ),
    Case(
        "ChasquiNothingIsSent",
        fires={'chasqui_messages_released_total{tier="normal"}': "0+60x40", _THROTTLED: "0+60x40", _SENT: "70+0x40"},
        quiet={'chasqui_messages_released_total{tier="normal"}': "0+60x40", _THROTTLED: "0+60x40", _SENT: "0+1x40"},
        told=Fired({}, "1 messages a second are released and none is sent"),
        at="20m",
    ),
    Case(
        "ChasquiSchedulesUnplanned",
        fires={'chasqui_schedules_due{instance="a"}': "2+0x20", 'chasqui_schedules_due{instance="b"}': "2+0x20"},
        quiet={"chasqui_schedules_due": "2 2 2 0 2 2 2 0 2"},
        told=Fired({}, "2 schedules are due, and nobody plans them"),
        at="7m",
    ),
    Case(
        "ChasquiBreakerOpen",
        fires={
            'chasqui_breaker_state{breaker="num_1", instance="a"}': "0 2+0x10",
            'chasqui_breaker_state{breaker="num_1", instance="b"}': "0 2+0x10",
            'chasqui_breaker_state{breaker="https://graph.facebook.com", instance="a"}': "1+0x10",
        },
        quiet={
            'chasqui_breaker_state{breaker="num_1"}': "2 1 2 1 2 0",
        },
        told=Fired({"breaker": "num_1"}, "The circuit breaker of num_1 is open: nothing is sent that way"),
        at="3m",
    ),
    Case(
        "ChasquiProviderAway",
        fires={'chasqui_breaker_state{breaker="https://graph.facebook.com", instance="a"}': "2 1 2 1 2 1 2 1 2 1 2"},
        quiet={
            'chasqui_breaker_state{breaker="https://graph.facebook.com", instance="a"}': "2 1 2 0 2 1 2 1 0",
            'chasqui_breaker_state{breaker="num_1", instance="a"}': "2+0x10",  # one number's own trouble
        },
        told=Fired(
            {"breaker": "https://graph.facebook.com"},
            "For five minutes nothing has been sent by https://graph.facebook.com, for any number",
        ),
        at="8m",
    ),
    Case(
        "ChasquiNumberPaused",
        fires={'chasqui_numbers_paused{code="provider.190", instance="a"}': "0 1+0x10"},
        quiet={
            'chasqui_numbers_paused{code="provider.190"}': "1 0+0x10",
            'chasqui_numbers_paused{code="number.paused"}': "3+0x10",
        },
        told=Fired({"code": "provider.190"}, "1 numbers are paused: provider.190"),
        at="3m",
    ),
    Case(
        "ChasquiProviderErrors",
        fires={_SENT: "0+80x20", _THROTTLED: "0+20x20"},
        quiet={_SENT: "0+95x20", _THROTTLED: "0+5x20"},
        told=Fired({"code": "provider.130429"}, "20% of the calls to the providers end with provider.130429"),
    ),
    Case(
        "ChasquiProviderErrors",
        fires={_THROTTLED: "0+2x20"},
        quiet={_SENT: "0+4x20", _THROTTLED: "0+1x20"},  # hardly anything is sent
        told=Fired({"code": "provider.130429"}, "100% of the calls to the providers end with provider.130429"),
    ),
    Case(
        "ChasquiProviderSlow",
        fires=durations("chasqui_provider_request_duration_seconds", 'provider="cloud"', ("2.5", "5"), 0.1),
        quiet=durations("chasqui_provider_request_duration_seconds", 'provider="cloud"', ("0.5", "1"), 0.1),
        told=Fired({"provider": "cloud"}, "One in twenty calls to cloud takes longer than 3.75s"),
    ),
    Case(
        "ChasquiOutcomesUnknown",
        fires={"chasqui_attempts_unknown": "7+0x20", "chasqui_unknown_oldest_age_seconds": "0+60x20"},
        quiet={"chasqui_attempts_unknown": "7+0x20", "chasqui_unknown_oldest_age_seconds": "90+0x20"},
        told=Fired({}, "Whether the provider took 7 messages is not known"),
    ),
    Case(
        "ChasquiNumberSlowed",
        fires={'chasqui_number_rate_share{number_id="num_1", instance="a"}': "0.34+0x20"},
        quiet={'chasqui_number_rate_share{number_id="num_1", instance="a"}': "0.34+0x10 0.7 0.34+0x9"},
        told=Fired({"number_id": "num_1"}, "The number num_1 sends with 34% of its rate: it is throttled"),
        at="16m",
    ),
    Case(
        "ChasquiNumberExhausted",
        fires={'chasqui_number_headroom_ratio{number_id="num_1", instance="a"}': "0+0x40"},
        quiet={'chasqui_number_headroom_ratio{number_id="num_1", instance="a"}': "0+0x20 0.5 0+0x20"},
        told=Fired({"number_id": "num_1"}, "The number num_1 has been at its limit for half an hour"),
        at="32m",
    ),
    Case(
        "ChasquiCallbacksFail",
        fires={f'{_CALLBACKS}{{outcome="delivered"}}': "0+1x40", f'{_CALLBACKS}{{outcome="retried"}}': "0+3x40"},
        quiet={f'{_CALLBACKS}{{outcome="delivered"}}': "0+2x40", f'{_CALLBACKS}{{outcome="retried"}}': "0+2x40"},
        told=Fired({}, "75% of the posts to tenants do not arrive"),
        at="35m",
    ),
    Case(
        "ChasquiCallbacksWait",
        fires={"chasqui_callbacks_oldest_age_seconds": "0+60x40"},
        quiet={"chasqui_callbacks_oldest_age_seconds": "600+0x40"},
        told=Fired({}, "An update has waited 30m 0s to be posted to its tenant"),
        at="30m",
    ),
)
