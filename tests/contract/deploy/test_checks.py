"""The deployment has no fault, and each check tells the fault that it is there for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from deploy.checks.__main__ import CHECKS
from deploy.checks.manifests import Rendering
from deploy.checks.tree import Tree

Content = dict[str, Any]
Change = Callable[[Content], object]


@pytest.mark.parametrize("check", CHECKS)
def test_nothing_is_wrong(check: str, checkout: Tree) -> None:
    assert sorted(CHECKS[check](checkout)) == []


def with_one_changed(checkout: Tree, kind: str, name: str, change: Change) -> Tree:
    """The local overlay alone, one object of it (a name may be a generated one's beginning) changed, or `None` taken out."""
    tree = Tree(checkout.root)
    overlay = next(one for one in checkout.overlays if one.name == "overlays/local")
    documents = copy.deepcopy([manifest.content for manifest in overlay.manifests])
    found = [one for one in documents if one["kind"] == kind and one["metadata"]["name"].startswith(name)]
    assert found, f"no {kind} {name}"
    if change(found[0]) == "away":
        documents.remove(found[0])
    tree.overlays, tree.components = [Rendering(overlay.name, documents)], []
    return tree


def pod(content: Content) -> Content:
    return content["spec"]["template"]["spec"]


def container(content: Content) -> Content:
    return pod(content)["containers"][0]


def away(_: Content) -> str:
    return "away"


GATEWAY = ("Deployment", "chasqui-gateway")
SENDER = ("Deployment", "chasqui-sender")
RABBITMQ = ("StatefulSet", "rabbitmq")
SCALER = ("HorizontalPodAutoscaler", "chasqui-sender")
ADAPTER = ("ConfigMap", "chasqui-adapter")
CONFIG = ("ConfigMap", "chasqui-config")
SECRETS = ("Secret", "chasqui-secrets")


def without_notice(content: Content) -> None:
    container(content).pop("lifecycle")
    container(content)["env"].append({"name": "CHASQUI_RUN__DRAIN_NOTICE_SECONDS", "value": "0"})


def config_without(name: str) -> Change:
    return lambda content: content["data"].pop(name)


def config(**values: str) -> Change:
    return lambda content: content["data"].update(values)


def adapter(old: str, new: str) -> Change:
    return replaced("config.yaml", old, new)


def scrapes(old: str, new: str) -> Change:
    return replaced("prometheus.yml", old, new)


def replaced(file: str, old: str, new: str) -> Change:
    def change(content: Content) -> None:
        assert old in content["data"][file]
        content["data"][file] = content["data"][file].replace(old, new)

    return change


@pytest.mark.parametrize(
    ("check", "which", "change", "told"),
    [
        # Schemas
        ("schemas", GATEWAY, lambda one: one["spec"].update(replica=3), "'replica' was unexpected"),
        ("schemas", GATEWAY, lambda one: container(one)["ports"][0].update(containerPort="8080"), "is not of type 'integer'"),
        ("schemas", GATEWAY, lambda one: one.update(apiVersion="apps/v1beta9"), "is in no schema of Kubernetes"),
        ("schemas", GATEWAY, lambda one: one["metadata"].pop("namespace"), "is in no namespace"),
        ("schemas", CONFIG, config(LONG="x" * 300_000), "kubectl could not apply it"),
        # Pods
        ("pods", ("Namespace", "chasqui"), lambda one: one["metadata"]["labels"].clear(), "enforce is not restricted"),
        ("pods", ("Namespace", "chasqui"), away, "which is not among the objects"),
        ("pods", GATEWAY, lambda one: pod(one)["securityContext"].pop("runAsNonRoot"), "runAsNonRoot is not true"),
        ("pods", GATEWAY, lambda one: pod(one)["securityContext"].update(runAsUser=0), "runs as root"),
        ("pods", RABBITMQ, lambda one: pod(one)["securityContext"].pop("seccompProfile"), "seccompProfile"),
        ("pods", GATEWAY, lambda one: pod(one).update(hostNetwork=True), "hostNetwork is set"),
        (
            "pods",
            GATEWAY,
            lambda one: pod(one)["volumes"].append({"name": "node", "hostPath": {"path": "/"}}),
            "volume node is a hostPath",
        ),
        ("pods", SENDER, lambda one: pod(one)["volumes"].append({"name": "big", "emptyDir": {}}), "sizeLimit is missing"),
        ("pods", GATEWAY, lambda one: pod(one).pop("automountServiceAccountToken"), "automountServiceAccountToken"),
        ("pods", GATEWAY, lambda one: pod(one).pop("serviceAccountName"), "serviceAccountName is missing"),
        ("pods", ("ServiceAccount", "chasqui-gateway"), away, "ServiceAccount chasqui-gateway is not among"),
        (
            "pods",
            GATEWAY,
            lambda one: container(one)["securityContext"].update(allowPrivilegeEscalation=True),
            "allowPrivilegeEscalation",
        ),
        ("pods", GATEWAY, lambda one: container(one)["securityContext"]["capabilities"].update(add=["X"]), "just drop"),
        ("pods", RABBITMQ, lambda one: container(one)["securityContext"].pop("readOnlyRootFilesystem"), "readOnlyRootFilesystem"),
        ("pods", GATEWAY, lambda one: container(one)["securityContext"].update(privileged=True), "privileged or root"),
        ("pods", GATEWAY, lambda one: container(one)["ports"][0].update(hostPort=80), "port of the node"),
        ("pods", GATEWAY, lambda one: container(one)["resources"].pop("requests"), "resources.requests.cpu is missing"),
        ("pods", RABBITMQ, lambda one: container(one)["resources"].pop("limits"), "resources.limits.memory is missing"),
        ("pods", GATEWAY, lambda one: container(one).update(image="chasqui:latest"), "another one tomorrow"),
        ("pods", GATEWAY, lambda one: container(one).update(image="chasqui"), "neither tag nor digest"),
        ("pods", GATEWAY, lambda one: container(one)["volumeMounts"].append({"name": "no", "mountPath": "/x"}), "mounts no"),
        ("pods", GATEWAY, lambda one: container(one).pop("startupProbe"), "startupProbe is missing"),
        ("pods", RABBITMQ, lambda one: container(one).pop("livenessProbe"), "livenessProbe is missing"),
        (
            "pods",
            GATEWAY,
            lambda one: container(one)["livenessProbe"].update(container(one)["readinessProbe"]),
            "would have it restarted",
        ),
        # Settings
        ("settings", CONFIG, config(CHASQUI_GATEWAY__ARCHIV_URL="http://x"), "CHASQUI_GATEWAY__ARCHIV_URL is no setting"),
        ("settings", SECRETS, lambda one: one["data"].update(CHASQUI_BUS__URI="eA=="), "CHASQUI_BUS__URI is no setting"),
        (
            "settings",
            GATEWAY,
            lambda one: container(one)["env"].append({"name": "CHASQUI_NO__NAME", "value": "1"}),
            "CHASQUI_NO__NAME is no setting",
        ),
        ("settings", CONFIG, config(CHASQUI_RUN__DRAIN_SECONDS="soon"), "would not start: CHASQUI_RUN__DRAIN_SECONDS"),
        ("settings", CONFIG, config(CHASQUI_STATISTICS__DAYS_SECONDS="60"), "the gateway would not start"),
        ("settings", SECRETS, lambda one: one["data"].update(CHASQUI_SECURITY__MASTER_KEY="eA=="), "would not start"),
        ("settings", CONFIG, config_without("CHASQUI_HTTP__HOST"), "listens on 127.0.0.1 only"),
        ("settings", CONFIG, config(CHASQUI_ARCHIVE__PORT="9000"), "it listens on 9000"),
        ("settings", CONFIG, config(CHASQUI_GATEWAY__ARCHIVE_URL="http://archives:8083"), "archives, which is no Service"),
        ("settings", CONFIG, config(CHASQUI_GATEWAY__ARCHIVE_URL="http://chasqui-archive:80"), "names port 80"),
        (
            "settings",
            CONFIG,
            config(CHASQUI_GATEWAY__PROCESSES_HOST="every-{service}"),
            "PROCESSES_HOST names every-gateway, which is no Service",
        ),
        (
            "settings",
            CONFIG,
            config(CHASQUI_GATEWAY__PROCESSES_HOST="chasqui-{service}"),
            "names chasqui-sender, which stands for one address, not for that of each process",
        ),
        # References
        ("references", ("Service", "chasqui-gateway"), lambda one: one["spec"]["selector"].update(a="b"), "takes no pod"),
        ("references", ("Service", "rabbitmq"), lambda one: one["spec"]["ports"][0].update(targetPort="web"), "leads to web"),
        ("references", GATEWAY, lambda one: one["spec"]["selector"]["matchLabels"].update(a="b"), "not take its own pods"),
        (
            "references",
            GATEWAY,
            lambda one: pod(one)["topologySpreadConstraints"][0].update(labelSelector={"matchLabels": {"a": "b"}}),
            "does not count its own pods",
        ),
        ("references", GATEWAY, lambda one: container(one)["readinessProbe"]["httpGet"].update(port="web"), "asks port web"),
        ("references", CONFIG, away, "its ConfigMap chasqui-config"),
        ("references", SECRETS, away, "no README says how to make it"),
        ("references", SECRETS, lambda one: one["data"].pop("CHASQUI_BUS__URL"), "has no CHASQUI_BUS__URL"),
        ("references", ("PersistentVolumeClaim", "chasqui-objects"), away, "PersistentVolumeClaim chasqui-objects is not"),
        ("references", ("ConfigMap", "prometheus-rules"), away, "its ConfigMap prometheus-rules"),
        ("references", ("PodDisruptionBudget", "chasqui-sender"), lambda one: one["spec"].update(
            selector={"matchLabels": {"a": "b"}}), "takes no pod"),
        ("references", ("Role", "prometheus"), away, "its Role prometheus is not there"),
        ("references", ("ServiceAccount", "prometheus"), away, "its ServiceAccount prometheus is not there"),
        # Network
        ("network", ("NetworkPolicy", "chasqui-deny-all"), away, "no NetworkPolicy denies everything"),
        (
            "network",
            ("NetworkPolicy", "chasqui-archive"),
            lambda one: one["spec"]["podSelector"]["matchLabels"].update(a="b"),
            "podSelector takes no pod",
        ),
        (
            "network",
            ("NetworkPolicy", "chasqui-archive"),
            lambda one: one["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"].update(a="b"),
            "ingress: no pod is",
        ),
        (
            "network",
            ("NetworkPolicy", "chasqui-archive"),
            lambda one: one["spec"]["egress"][0]["ports"][0].update(port=5433),
            "egress: port 5433 is none of",
        ),
        (
            "network",
            ("NetworkPolicy", "chasqui-archive"),
            lambda one: one["spec"].update(ingress=[]),
            "chasqui-gateway may not reach Deployment/chasqui-archive at 8083",
        ),
        ("network", ("NetworkPolicy", "chasqui-archive"), lambda one: one["spec"].update(ingress=[]), "may not scrape"),
        ("network", ("NetworkPolicy", "chasqui-sender"), lambda one: one["spec"].update(egress=[]), "CHASQUI_BUS__URL"),
        ("network", ("NetworkPolicy", "jaeger"), away, "CHASQUI_TELEMETRY__OTLP_ENDPOINT"),
        (
            "network",
            ("NetworkPolicy", "chasqui-gateway"),
            lambda one: one["spec"]["egress"].pop(0),
            "Deployment/chasqui-gateway may not reach Deployment/chasqui-gateway at 8080",
        ),
        # Scaling
        ("scaling", SCALER, away, "nothing scales chasqui-sender"),
        ("scaling", SCALER, lambda one: one["spec"].update(maxReplicas=30), "scales from 2 to 30"),
        ("scaling", SCALER, lambda one: one["spec"]["scaleTargetRef"].update(name="sender"), "scales sender, which is not there"),
        ("scaling", SCALER, lambda one: one["spec"].update(metrics=[]), "scales by nothing"),
        (
            "scaling",
            SCALER,
            lambda one: one["spec"]["metrics"][0]["external"]["metric"].update(name="chasqui_no_such"),
            "chasqui_no_such, for which the adapter has no external rule",
        ),
        (
            "scaling",
            SCALER,
            lambda one: one["spec"]["metrics"][1]["external"]["metric"]["selector"].update(matchLabels={"que": "x"}),
            "by que, a label that it has not",
        ),
        (
            "scaling",
            ("HorizontalPodAutoscaler", "chasqui-scheduler"),
            lambda one: one["spec"]["metrics"][0]["external"]["metric"]["selector"]["matchExpressions"][0].update(key="tir"),
            "by tir, a label that it has not",
        ),
        ("scaling", SCALER, lambda one: one["spec"]["behavior"]["scaleUp"].update(policies=[]), "100 percent in 60 seconds"),
        ("scaling", SCALER, lambda one: one["spec"]["behavior"].pop("scaleDown"), "stabilizationWindowSeconds is less"),
        ("scaling", GATEWAY, lambda one: one["spec"].update(replicas=2), "every apply would undo"),
        ("scaling", GATEWAY, lambda one: container(one)["resources"]["requests"].pop("cpu"), "requests none"),
        (
            "scaling",
            ("PodDisruptionBudget", "chasqui-sender"),
            lambda one: one["spec"].update(maxUnavailable=2),
            "all of them may go at once",
        ),
        (
            "scaling",
            ("PodDisruptionBudget", "chasqui-sender"),
            lambda one: one["spec"].update(maxUnavailable=None, minAvailable="100%"),
            "no node could ever be emptied",
        ),
        ("scaling", ADAPTER, adapter("chasqui_hold_oldest_due_age_seconds", "chasqui_hold_age"), "which no service exports"),
        ("scaling", ADAPTER, away, "for which the adapter has no"),
        # Shutdown
        ("shutdown", GATEWAY, lambda one: pod(one).update(terminationGracePeriodSeconds=25), "does not hold preStop"),
        ("shutdown", CONFIG, config(CHASQUI_RUN__DRAIN_SECONDS="60"), "does not hold preStop 5, drain 60"),
        ("shutdown", GATEWAY, without_notice, "it leaves while requests still come"),
        ("shutdown", GATEWAY, lambda one: one["spec"].update(strategy={"type": "Recreate"}), "strategy is not RollingUpdate"),
        ("shutdown", GATEWAY, lambda one: one["spec"].pop("strategy"), "maxUnavailable is not 0"),
        # Monitoring
        (
            "monitoring",
            ("ConfigMap", "prometheus-config"),
            scrapes("target_label: pod", "target_label: p"),
            "gives no label pod",
        ),
        (
            "monitoring",
            ("ConfigMap", "prometheus-config"),
            scrapes("job_name: chasqui", "job_name: c"),
            "no job is named chasqui",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told(check: str, which: tuple[str, str], change: Change, told: str, checkout: Tree) -> None:
    tree = with_one_changed(checkout, *which, change)
    if check == "schemas":
        tree.overlays[0].manifests = [one for one in tree.overlays[0].manifests if one.kind in {which[0], "Namespace"}]
    faults = [str(fault) for fault in CHECKS[check](tree)]
    assert any(told in fault for fault in faults), faults


def production(checkout: Tree, kind: str, change: Change) -> Tree:
    """The production overlay alone, the first object of a kind changed."""
    tree = Tree(checkout.root)
    overlay = next(one for one in checkout.overlays if one.name == "overlays/production")
    documents = copy.deepcopy([manifest.content for manifest in overlay.manifests])
    found = next(one for one in documents if one["kind"] == kind)
    if change(found) == "away":
        documents.remove(found)
    tree.overlays, tree.components = [Rendering(overlay.name, documents)], []
    return tree


@pytest.mark.parametrize(
    ("check", "kind", "change", "told"),
    [
        ("schemas", "RabbitmqCluster", lambda one: one["spec"].update(replicas=2), "spec.replicas: 2 is not one of"),
        ("schemas", "RabbitmqCluster", lambda one: one["spec"].update(replica=3), "'replica' was unexpected"),
        ("schemas", "Cluster", lambda one: one["spec"]["postgresql"]["parameters"].update(max_connections=600), "'string'"),
        ("schemas", "ScheduledBackup", lambda one: one["spec"].update(schedule="30 2 * * *"), "spec.schedule"),
        ("schemas", "PodMonitor", lambda one: one["spec"].update(podMetricsEndpoints=[]), "spec.podMetricsEndpoints"),
        ("schemas", "Cluster", lambda one: one.update(apiVersion="elsewhere.io/v1"), "is not among ours"),
        ("references", "RabbitmqCluster", away, "Secret chasqui-rabbitmq-default-user is not there"),
        ("references", "Cluster", away, "Secret chasqui-db-app is not there"),
        ("references", "Deployment", lambda one: container(one).setdefault("env", []).append(
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "chasqui-secrets", "key": "NO_SUCH"}}}), "with a NO_SUCH"),
        ("references", "Ingress", lambda one: one["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(
            name="gateway"), "leads to the Service gateway, which is not there"),
        ("references", "Ingress", lambda one: one["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(
            port={"number": 80}), "leads to a port of chasqui-gateway"),
        ("settings", "Cluster", away, "names chasqui-db-rw, which is no Service here"),
        ("network", "Cluster", lambda one: one["metadata"].update(name="chasqui-data"), "no pod is cnpg.io/cluster=chasqui-db"),
        ("network", "Ingress", lambda one: one["metadata"].update(annotations={}), "challenge: its podSelector takes no pod"),
        ("monitoring", "PodMonitor", lambda one: one["spec"]["podMetricsEndpoints"][0].update(relabelings=[]), "label service"),
    ],
)  # fmt: skip
def test_a_fault_of_production_is_told(check: str, kind: str, change: Change, told: str, checkout: Tree) -> None:
    tree = production(checkout, kind, change)
    if check == "schemas":
        tree.overlays[0].manifests = [one for one in tree.overlays[0].manifests if one.kind == kind]
    faults = [str(fault) for fault in CHECKS[check](tree)]
    assert any(told in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: one["spec"].update(maxReplicaCount=50), "the requirements say"),
        (lambda one: one["spec"].update(triggers=[]), "scales by nothing"),
        (lambda one: one["spec"]["advanced"]["horizontalPodAutoscalerConfig"].pop("behavior"), "100 percent in 60 seconds"),
        (lambda one: one["spec"]["scaleTargetRef"].update(name="nobody"), "scales nobody, which is not there"),
        (
            lambda one: one["spec"]["triggers"].append({"type": "prometheus", "metadata": {"query": "max(chasqui_none)"}}),
            "no service exports chasqui_none",
        ),
    ],
)
def test_a_fault_of_keda_is_told(change: Change, told: str, checkout: Tree) -> None:
    tree = Tree(checkout.root)
    component = next(one for one in checkout.components if one.name == "components/keda")
    documents = copy.deepcopy([manifest.content for manifest in component.manifests])
    change(next(one for one in documents if one["kind"] == "ScaledObject"))
    tree.overlays, tree.components = [], [Rendering(component.name, documents)]
    faults = [str(fault) for fault in CHECKS["scaling"](tree)]
    assert any(told in fault for fault in faults), faults


def test_an_autoscaler_beside_keda_is_told(checkout: Tree) -> None:
    tree = Tree(checkout.root)
    component = next(one for one in checkout.components if one.name == "components/keda")
    local = next(one for one in checkout.overlays if one.name == "overlays/local")
    scalers = [one.content for one in local.of("HorizontalPodAutoscaler")]
    tree.overlays, tree.components = [], [Rendering(component.name, [*(one.content for one in component.manifests), *scalers])]
    assert any("the two would fight" in str(fault) for fault in CHECKS["scaling"](tree))
