"""What operators make of the custom resources among the objects, as far as other objects refer to it: pods, Services, Secrets.

RabbitMQ Cluster Operator: pods labelled by the cluster's name, a Service of that name, the first user in `<name>-default-user`
(rabbitmq.com/kubernetes/operator/using-operator, read 2026-11). CloudNativePG: Services `<name>-rw`, `-ro` and `-r`, the owner's
Secret `<name>-app`, label `cnpg.io/cluster` (cloudnative-pg.io/documentation, applications, labels, read 2026-11). cert-manager:
for an Ingress that names an issuer a pod that answers HTTP-01 challenges (its pkg/issuer/acme/http, read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Content = dict[str, Any]

RABBITMQ_PORTS: Final[Mapping[str, int]] = {"amqp": 5672, "management": 15672, "prometheus": 15692, "epmd": 4369, "dist": 25672}
CHALLENGE_PORTS: Final[Mapping[str, int]] = {"http": 8089}
ISSUERS: Final = frozenset({"cert-manager.io/cluster-issuer", "cert-manager.io/issuer"})
POSTGRESQL_PORTS: Final[Mapping[str, int]] = {"postgresql": 5432, "metrics": 9187, "status": 8000}
PASSWORD: Final = "made-by-an-operator"  # noqa: S105  # stands for one


def made_of(documents: Sequence[Content]) -> Iterator[Content]:
    for document in documents:
        group, kind = str(document.get("apiVersion")).partition("/")[0], document.get("kind")
        if (group, kind) == ("rabbitmq.com", "RabbitmqCluster"):
            yield from _rabbitmq(document)
        elif (group, kind) == ("postgresql.cnpg.io", "Cluster"):
            yield from _postgresql(document)
        elif kind == "Ingress" and ISSUERS & document["metadata"].get("annotations", {}).keys():
            name, namespace = _named(document)
            labels = {"acme.cert-manager.io/http01-solver": "true"}
            yield _pods(f"{name}-challenge", namespace, 1, labels, CHALLENGE_PORTS)


def _rabbitmq(cluster: Content) -> Iterator[Content]:
    name, namespace = _named(cluster)
    labels = {
        **cluster["metadata"].get("labels", {}),
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": "rabbitmq",
        "app.kubernetes.io/part-of": "rabbitmq",
    }
    yield _pods(f"{name}-server", namespace, cluster["spec"].get("replicas", 1), labels, RABBITMQ_PORTS)
    yield _service(name, namespace, labels, RABBITMQ_PORTS)
    user = {"username": "default_user", "password": PASSWORD, "host": f"{name}.{namespace}.svc", "port": "5672"}
    address = f"amqp://{user['username']}:{PASSWORD}@{user['host']}:5672/"
    yield _secret(f"{name}-default-user", namespace, {**user, "connection_string": address})


def _postgresql(cluster: Content) -> Iterator[Content]:
    name, namespace = _named(cluster)
    inherited = cluster["spec"].get("inheritedMetadata", {}).get("labels", {})
    labels = {**inherited, "cnpg.io/cluster": name, "cnpg.io/podRole": "instance"}
    yield _pods(name, namespace, cluster["spec"].get("instances", 1), labels, POSTGRESQL_PORTS)
    for suffix in ("rw", "ro", "r"):
        yield _service(f"{name}-{suffix}", namespace, labels, {"postgres": 5432})
    database = cluster["spec"].get("bootstrap", {}).get("initdb", {}).get("database", "app")
    owner = {"username": "owner", "password": PASSWORD, "host": f"{name}-rw", "port": "5432", "dbname": database}
    uri = f"postgresql://owner:{PASSWORD}@{name}-rw.{namespace}:5432/{database}"
    yield _secret(f"{name}-app", namespace, {**owner, "uri": uri})


def _named(document: Content) -> tuple[str, str]:
    return str(document["metadata"]["name"]), str(document["metadata"].get("namespace", ""))


def _pods(name: str, namespace: str, replicas: int, labels: Mapping[str, str], ports: Mapping[str, int]) -> Content:
    container = {"name": name, "ports": [{"name": port, "containerPort": number} for port, number in ports.items()]}
    template = {"metadata": {"labels": dict(labels)}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "template": template}
    return {"kind": "StatefulSet", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _service(name: str, namespace: str, labels: Mapping[str, str], ports: Mapping[str, int]) -> Content:
    spec = {"selector": dict(labels), "ports": [{"name": port, "port": number} for port, number in ports.items()]}
    return {"kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _secret(name: str, namespace: str, values: Mapping[str, str]) -> Content:
    return {"kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": dict(values)}
