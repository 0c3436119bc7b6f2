"""Of rules/data.yml, rules/runtime.yml and rules/cluster.yml."""

from __future__ import annotations

from typing import Final

from tests.contract.monitoring.case import Case, durations
from tests.support.alerting import Fired, Series

_POOL: Final = 'service="gateway", instance="a", pool="main"'
_QUERIES: Final = "chasqui_db_query_duration_seconds"
_READS: Final = 'chasqui_cache_reads_total{service="gateway", cache="groups"'
_HPA: Final = 'namespace="chasqui", horizontalpodautoscaler="sender"'
_UP: Final[Series] = {
    f'up{{job="chasqui", service="{name}", instance="a"}}': "1+0x40" for name in ("gateway", "scheduler", "archive")
}
_SENDER: Final = 'job="chasqui", service="sender", instance="a"'
_TOLD: Final = {"job": "chasqui", "service": "sender", "instance": "a"}


def _pool(in_use: str) -> Series:
    return {
        f'chasqui_db_pool_connections{{{_POOL}, state="in_use"}}': in_use,
        f'chasqui_db_pool_connections{{{_POOL}, state="max"}}': "20+0x10",
    }


def _read(service: str, ages: str) -> Series:
    return {f'chasqui_outbox_oldest_age_seconds{{service="{service}", instance="a"}}': ages}


def _deployment(available: str) -> Series:
    labels = 'namespace="chasqui", deployment="archive"'
    return {
        f"kube_deployment_spec_replicas{{{labels}}}": "3+0x20",
        f"kube_deployment_status_replicas_available{{{labels}}}": available,
    }


def _autoscaler(replicas: str) -> Series:
    return {
        f"kube_horizontalpodautoscaler_status_current_replicas{{{_HPA}}}": replicas,
        f"kube_horizontalpodautoscaler_spec_max_replicas{{{_HPA}}}": "20+0x30",
    }


CASES: Final = (
    Case(
        "ChasquiDatabaseAway",
        fires={**_UP, **_read("gateway", "0+0x20"), **_read("scheduler", "0+0x5 _x15"), **_read("archive", "0+0x20")},
        quiet={
            **_UP,
            **_read("gateway", "0+0x20"),
            **_read("scheduler", "0 0 _ _ 0+0x16"),
            **_read("archive", "_x20"),  # of one replica; another reads it
            'chasqui_outbox_oldest_age_seconds{service="archive", instance="b"}': "0+0x20",
        },
        told=Fired({"service": "scheduler"}, "The scheduler cannot read its outbox: PostgreSQL does not answer it"),
    ),
    Case(
        "ChasquiDatabasePoolExhausted",
        fires=_pool("20+0x10"),
        quiet=_pool("20 18 20 18 20 18 20"),
        told=Fired({"service": "gateway", "instance": "a", "pool": "main"}, "gateway a uses 100% of its pool main"),
        at="5m",
    ),
    Case(
        "ChasquiDatabaseSlow",
        fires={f'{_QUERIES}_sum{{service="archive"}}': "0+60x20", f'{_QUERIES}_count{{service="archive"}}': "0+600x20"},
        quiet={f'{_QUERIES}_sum{{service="archive"}}': "0+30x20", f'{_QUERIES}_count{{service="archive"}}': "0+600x20"},
        told=Fired({"service": "archive"}, "A query of the archive takes 100ms on average"),
    ),
    Case(
        "ChasquiSlowQueries",
        fires={'chasqui_db_slow_queries_total{service="gateway", pool="main"}': "0+1x40"},
        quiet={'chasqui_db_slow_queries_total{service="gateway", pool="main"}': "0+0x20 9+0x20"},
        told=Fired({"service": "gateway"}, "The gateway has had 15 slow queries in a quarter of an hour"),
        at="25m",
    ),
    Case(
        "ChasquiCacheMisses",
        fires={f'{_READS}, result="hit"}}': "0+890x60", f'{_READS}, result="miss"}}': "0+110x60"},
        quiet={f'{_READS}, result="hit"}}': "0+910x60", f'{_READS}, result="miss"}}': "0+90x60"},
        told=Fired(
            {"service": "gateway", "cache": "groups"}, "Only 89% of the reads of the cache groups (gateway) find something"
        ),
        at="40m",
    ),
    Case(
        "ChasquiCacheMisses",
        fires={f'{_READS}, result="miss"}}': "0+600x60"},  # not one hit
        quiet={f'{_READS}, result="miss"}}': "0+60x60"},  # hardly read
        told=Fired(
            {"service": "gateway", "cache": "groups"}, "Only 0% of the reads of the cache groups (gateway) find something"
        ),
        at="40m",
    ),
    Case(
        "ChasquiCacheAway",
        fires={f'{_READS}, result="away"}}': "0 0 5+5x20"},
        quiet={f'{_READS}, result="away"}}': "0+0x5 1+0x15"},  # once
        told=Fired(
            {"service": "gateway", "cache": "groups"}, "The gateway does without its cache groups: Redis does not answer"
        ),
        at="10m",
    ),
    Case(
        "ChasquiArchiveBehind",
        fires=durations("chasqui_record_lag_seconds", "", ("60", "300"), 0.2),
        quiet=durations("chasqui_record_lag_seconds", "", ("30", "60"), 0.1),
        told=Fired({}, "What happens is in the archive 3m 59s later"),
    ),
    Case(
        "ChasquiFollowerLags",
        fires={'chasqui_follower_lag_seconds{follower="conversations", instance="a"}': "0+60x20"},
        quiet={'chasqui_follower_lag_seconds{follower="conversations", instance="a"}': "120+0x20"},
        told=Fired({"follower": "conversations"}, "The follower conversations is 10m 0s behind what is recorded"),
        at="10m",
    ),
    Case(
        "ChasquiImportStuck",
        fires={"chasqui_import_idle_seconds": "0+60x40"},
        quiet={"chasqui_import_idle_seconds": "900+0x40"},
        told=Fired({}, "An import has made no progress for 30m 0s"),
        at="30m",
    ),
    Case(
        "ChasquiExportStuck",
        fires={"chasqui_export_oldest_age_seconds": "7200+0x10"},
        quiet={"chasqui_export_oldest_age_seconds": "3600+0x10"},
        told=Fired({}, "An export has not been ready for 2h 0m 0s"),
        at="6m",
    ),
    Case(
        "ChasquiSearchSlow",
        fires=durations("chasqui_search_duration_seconds", 'kind="text"', ("0.25", "0.5"), 0.1),
        quiet=durations("chasqui_search_duration_seconds", 'kind="text"', ("0.1", "0.25"), 0.1),
        told=Fired({"kind": "text"}, "One in twenty searches (text) takes longer than 375ms"),
    ),
    Case(
        "ChasquiServiceMissing",
        fires=_UP,
        quiet={**_UP, f"up{{{_SENDER}}}": "1+0x40", 'up{job="chasqui", service="sender", instance="b"}': "0+0x40"},
        told=Fired({"job": "chasqui", "service": "sender"}, "No sender runs, or none can be scraped"),
        at="3m",
    ),
    Case(
        "ChasquiServiceMissing",
        fires={**_UP, f"up{{{_SENDER}}}": "1 1 0+0x10"},
        quiet={**_UP, f"up{{{_SENDER}}}": "1+0x40"},
        told=Fired({"job": "chasqui", "service": "sender"}, "No sender runs, or none can be scraped"),
        at="5m",
    ),
    Case(
        "ChasquiReplicaDown",
        fires={f"up{{{_SENDER}}}": "1 0+0x10"},
        quiet={f"up{{{_SENDER}}}": "1 0 0 0 1+0x10"},
        told=Fired(_TOLD, "sender a does not answer scrapes"),
        at="5m",
    ),
    Case(
        "ChasquiWatched",
        fires={f"up{{{_SENDER}}}": "1+0x5", 'up{job="chasqui", service="sender", instance="b"}': "0+0x5"},
        quiet={f"up{{{_SENDER}}}": "0+0x5", 'up{job="another"}': "1+0x5"},
        told=Fired({}, "Processes that are watched: 1. Their alerts arrive"),
        at="5m",
    ),
    Case(
        "ChasquiRestarting",
        fires={f"process_start_time_seconds{{{_SENDER}}}": "100 160 220 280+0x10"},
        quiet={f"process_start_time_seconds{{{_SENDER}}}": "100 160 220+0x10"},
        told=Fired(_TOLD, "sender a has started 3 times in half an hour"),
        at="5m",
    ),
    Case(
        "ChasquiLoopLags",
        fires=durations("chasqui_event_loop_lag_seconds", 'service="sender", instance="a"', ("0.25", "0.5"), 0.02),
        quiet=durations("chasqui_event_loop_lag_seconds", 'service="sender", instance="a"', ("0.1", "0.25"), 0.02),
        told=Fired({"service": "sender", "instance": "a"}, "The event loop of sender a is 375ms late"),
    ),
    Case(
        "ChasquiFileDescriptorsLow",
        fires={f"process_open_fds{{{_SENDER}}}": "900+0x10", f"process_max_fds{{{_SENDER}}}": "1000+0x10"},
        quiet={f"process_open_fds{{{_SENDER}}}": "800+0x10", f"process_max_fds{{{_SENDER}}}": "1000+0x10"},
        told=Fired(_TOLD, "sender a has opened 90% of the files it may"),
        at="6m",
    ),
    Case(
        "ChasquiVersionsDiffer",
        fires={
            'chasqui_build_info{version="0.1.0", instance="a"}': "1+0x100",
            'chasqui_build_info{version="0.2.0", instance="b"}': "1+0x100",
        },
        quiet={
            'chasqui_build_info{version="0.1.0", instance="a"}': "1+0x30",
            'chasqui_build_info{version="0.2.0", instance="b"}': "1+0x100",
        },
        told=Fired({}, "2 versions have run side by side for an hour"),
        at="65m",
    ),
    Case(
        "ChasquiMetricsIncomplete",
        fires={'chasqui_metrics_source_failures_total{service="sender", source="numbers"}': "0+1x20"},
        quiet={'chasqui_metrics_source_failures_total{service="sender", source="numbers"}': "0 1+0x20"},
        told=Fired(
            {"service": "sender", "source": "numbers"},
            "The sender cannot read numbers: metrics of it are missing, and alerts on them are blind",
        ),
        at="10m",
    ),
    Case(
        "ChasquiReplicasMissing",
        fires=_deployment("3 2+0x20"),
        quiet=_deployment("3+0x20"),
        told=Fired({"namespace": "chasqui", "deployment": "archive"}, "1 replicas of archive are not available"),
        at="12m",
    ),
    Case(
        "ChasquiAtMostReplicas",
        fires=_autoscaler("20+0x30"),
        quiet=_autoscaler("19+0x30"),
        told=Fired(
            {"namespace": "chasqui", "horizontalpodautoscaler": "sender"},
            "sender has had its greatest number of replicas, 20, for a quarter of an hour",
        ),
        at="16m",
    ),
    Case(
        "ChasquiScalingBlind",
        fires={
            f'kube_horizontalpodautoscaler_status_condition{{{_HPA}, condition="ScalingActive", status="false"}}': "1+0x20",
        },
        quiet={
            f'kube_horizontalpodautoscaler_status_condition{{{_HPA}, condition="ScalingActive", status="false"}}': "0+0x20",
            f'kube_horizontalpodautoscaler_status_condition{{{_HPA}, condition="ScalingActive", status="true"}}': "1+0x20",
        },
        told=Fired(
            {"namespace": "chasqui", "horizontalpodautoscaler": "sender", "condition": "ScalingActive", "status": "false"},
            "sender cannot read what it scales by",
        ),
        at="11m",
    ),
    Case(
        "ChasquiPodCrashes",
        fires={'kube_pod_container_status_restarts_total{namespace="chasqui", pod="sender-1", container="sender"}': "0+1x40"},
        quiet={
            'kube_pod_container_status_restarts_total{namespace="chasqui", pod="sender-1", container="sender"}': "3+0x20 4+0x20"
        },
        told=Fired(
            {"namespace": "chasqui", "pod": "sender-1", "container": "sender"}, "sender-1 has crashed 30 times in half an hour"
        ),
        at="35m",
    ),
    Case(
        "ChasquiPodCrashes",
        fires={'kube_pod_init_container_status_restarts_total{namespace="chasqui", pod="chasqui-prepare-1"}': "0+1x40"},
        quiet={'kube_pod_init_container_status_restarts_total{namespace="chasqui", pod="chasqui-prepare-1"}': "1+0x40"},
        told=Fired(
            {"namespace": "chasqui", "pod": "chasqui-prepare-1"}, "chasqui-prepare-1 has crashed 30 times in half an hour"
        ),
        at="35m",
    ),
    Case(
        "ChasquiMigrationFailed",
        fires={'kube_job_status_failed{namespace="chasqui", job_name="chasqui-prepare-0.1.0"}': "0 1+0x10"},
        quiet={'kube_job_status_failed{namespace="chasqui", job_name="chasqui-prepare-0.1.0"}': "0+0x10"},
        told=Fired(
            {"namespace": "chasqui", "job_name": "chasqui-prepare-0.1.0"},
            "chasqui-prepare-0.1.0 has failed: the rollout waits for it",
        ),
        at="3m",
    ),
)
