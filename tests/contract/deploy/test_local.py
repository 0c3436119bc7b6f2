"""The overlay for one machine, and compose beside it, agree with themselves, with each other and with the sandbox."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import HttpUrl

from deploy.checks.environment import environment_of, values_of
from deploy.checks.manifests import Manifest, Rendering
from deploy.checks.tree import K8S, Tree
from services.gateway.domain.origins import Origins
from services.sandbox.settings import SandboxSettings

README = K8S / "overlays/local/README.md"


@pytest.fixture(scope="module")
def local(checkout: Tree) -> Rendering:
    return next(one for one in checkout.overlays if one.name == "overlays/local")


@pytest.fixture(scope="module")
def compose(checkout: Tree) -> dict[str, dict[str, object]]:
    services: dict[str, dict[str, object]] = yaml.safe_load(checkout.text("deploy/compose.yaml"))["services"]
    return services


def secret(rendering: Rendering, beginning: str) -> dict[str, str]:
    return values_of(next(one for one in rendering.of("Secret") if one.name.startswith(beginning)))


def workload(rendering: Rendering, name: str) -> Manifest:
    return next(one for one in rendering.workloads() if one.name == name)


def test_the_servers_take_the_passwords_that_the_services_show(local: Rendering) -> None:
    ours, theirs = secret(local, "chasqui-secrets"), secret(local, "servers")
    database, broker = urlsplit(ours["CHASQUI_MIGRATE__URL"]), urlsplit(ours["CHASQUI_BUS__URL"])
    rabbitmq = environment_of(local, workload(local, "rabbitmq").containers[0])
    assert (database.username, database.password) == ("postgres", theirs["POSTGRES_PASSWORD"])
    assert (broker.username, broker.password) == (rabbitmq["RABBITMQ_DEFAULT_USER"], rabbitmq["RABBITMQ_DEFAULT_PASS"])
    assert rabbitmq["RABBITMQ_DEFAULT_PASS"] == theirs["RABBITMQ_DEFAULT_PASS"]
    postgresql = environment_of(local, workload(local, "postgresql").containers[0])
    assert database.path == f"/{postgresql['POSTGRES_DB']}"


def test_compose_takes_the_passwords_that_its_services_show(compose: dict[str, dict[str, dict[str, str]]]) -> None:
    database = urlsplit(compose["schemas"]["environment"]["CHASQUI_MIGRATE__URL"])
    broker = urlsplit(compose["gateway"]["environment"]["CHASQUI_BUS__URL"])
    rabbitmq = compose["rabbitmq"]["environment"]
    assert (database.username, database.password) == ("postgres", compose["postgresql"]["environment"]["POSTGRES_PASSWORD"])
    assert (broker.username, broker.password) == (rabbitmq["RABBITMQ_DEFAULT_USER"], rabbitmq["RABBITMQ_DEFAULT_PASS"])
    role = compose["schemas"]["environment"]["CHASQUI_DB__PASSWORD"]
    assert compose["gateway"]["environment"]["CHASQUI_DB__PASSWORD"] == role


def test_both_run_the_same_versions(local: Rendering, compose: dict[str, dict[str, str]]) -> None:
    images = {container["image"] for one in local.workloads() for container in one.all_containers}
    assert {service["image"] for service in compose.values()} <= images


def test_grafana_finds_prometheus_and_its_dashboards(local: Rendering) -> None:
    provisioning = values_of(next(one for one in local.of("ConfigMap") if one.name.startswith("grafana-provisioning")))
    source = urlsplit(yaml.safe_load(provisioning["datasources.yml"])["datasources"][0]["url"])
    service = local.find("Service", str(source.hostname))
    assert service is not None
    assert source.port in {port["port"] for port in service.spec["ports"]}
    provider = yaml.safe_load(provisioning["dashboards.yml"])["providers"][0]
    grafana = workload(local, "grafana")
    mounts = {mount["mountPath"]: mount["name"] for mount in grafana.containers[0]["volumeMounts"]}
    volume = next(one for one in grafana.pod["volumes"] if one["name"] == mounts[provider["options"]["path"]])
    dashboards = local.find("ConfigMap", volume["configMap"]["name"])
    assert dashboards is not None
    assert all(json.loads(text)["panels"] for text in values_of(dashboards).values())


def test_prometheus_reads_the_rules_that_are_mounted(local: Rendering) -> None:
    prometheus = workload(local, "prometheus")
    config = values_of(next(one for one in local.of("ConfigMap") if one.name.startswith("prometheus-config")))
    folders = {pattern.rpartition("/")[0] for pattern in yaml.safe_load(config["prometheus.yml"])["rule_files"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in prometheus.containers[0]["volumeMounts"]}
    volumes = {one["name"]: one.get("configMap", {}).get("name", "") for one in prometheus.pod["volumes"]}
    assert [volumes[mounts[folder]][: len("prometheus-rules")] for folder in folders] == ["prometheus-rules"]


def test_the_number_of_the_instructions_is_the_sandboxs(checkout: Tree, local: Rendering) -> None:
    found = re.search(r"/api/numbers -d '(\{.*?\})'", checkout.text(README), re.DOTALL)
    assert found is not None
    number = json.loads(found[1])
    sandbox = SandboxSettings()
    assert number["phone_number_id"] == sandbox.phone_number_id
    assert number["waba_id"] == sandbox.waba_id
    assert number["display_number"] == f"+{sandbox.display_phone_number}"
    for secret_field in ("access_token", "app_secret", "verify_token"):
        assert number[secret_field] == getattr(sandbox, secret_field).get_secret_value()
    settings = environment_of(local, workload(local, "chasqui-gateway").containers[0])
    assert Origins.parse(settings["CHASQUI_GATEWAY__PROVIDER_ORIGINS"]).allow(HttpUrl(number["provider_url"]))


def test_the_ports_of_the_instructions_are_there(checkout: Tree, local: Rendering) -> None:
    forwarded = re.findall(r"port-forward service/([a-z-]+) (\d+)", checkout.text(README))
    assert forwarded
    for name, port in forwarded:
        service = local.find("Service", name)
        assert service is not None, name
        assert int(port) in {one["port"] for one in service.spec["ports"]}
