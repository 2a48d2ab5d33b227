"""Who reaches whom: Services, and the network policies that open the way."""

from __future__ import annotations

import pytest

from outlast.settings.table import rows

from .manifests import FOLDER, OVERLAY, ROLES, Json, container, environment, of_kind, read, selected, shared, workload

OUTLAST = {"app.kubernetes.io/name": "outlast"}
#: The network policies that the folder has beside those of the base.
BESIDE = [FOLDER / "components" / "traces" / "network-policy.yaml", OVERLAY / "database-network-policy.yaml"]


def test_services_lead_to_ports_that_are_there() -> None:
    """By name, and of one role each."""
    services = of_kind("Service")

    assert {role for service in services for role in _served(service)} == set(ROLES)
    for service in services:
        (role,) = _served(service)
        names = {port["name"] for port in container(role)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


def test_agents_find_task_managers() -> None:
    """The address that they are told is a Service and its port."""
    host, port = environment("agent")["OUTLAST_TASK_MANAGER"].split(":")
    (service,) = (each for each in of_kind("Service") if each["metadata"]["name"] == host)

    assert _served(service) == {"task-manager"}
    assert [int(port)] == [each["port"] for each in service["spec"]["ports"]]
    assert environment("task-manager")["OUTLAST_TASK_MANAGER_LISTEN"].endswith(f":{port}")


def test_no_service_makes_a_setting() -> None:
    """For a Service `outlast` Kubernetes would set OUTLAST_PORT in other pods of the namespace."""
    settings = {variable for row in rows() for variable in row.variables}
    prefixes = {service["metadata"]["name"].upper().replace("-", "_") for service in of_kind("Service")}

    assert not {f"{prefix}_{of}" for prefix in prefixes for of in ("PORT", "SERVICE_HOST", "SERVICE_PORT")} & settings


@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_open_that_is_not_named(role: str) -> None:
    """A policy of all pods, and with it the role's own, denies the rest in both directions."""
    (of_all,) = (each for each in of_kind("NetworkPolicy") if each["spec"]["podSelector"] == {"matchLabels": OUTLAST})

    assert role in selected(of_all["spec"]["podSelector"])
    assert of_all["spec"]["policyTypes"] == ["Ingress", "Egress"]
    for policy in _policies_of(role):
        for rule in [*policy.get("ingress", ()), *policy.get("egress", ())]:
            assert rule["ports"], "all ports would be open"
            assert rule.get("from") or rule.get("to"), "everybody would be let in"


@pytest.mark.parametrize("role", ROLES)
def test_callers_are_let_in(role: str) -> None:
    """Agents and session hosts by the label of a namespace, task managers for agents and who has a label."""
    let_in = {
        port["port"]: rule["from"]
        for policy in _policies_of(role)
        for rule in policy.get("ingress", ())
        for port in rule["ports"]
    }

    assert set(let_in) == {port["name"] for port in container(role)["ports"]}
    if role == "task-manager":
        agents, clients = let_in["grpc"]
        assert selected(agents["podSelector"]) == {"agent"}
        assert clients == {"podSelector": {"matchLabels": {"outlast.dev/task-client": "true"}}}
    else:
        assert let_in["http"] == [{"namespaceSelector": {"matchLabels": {"outlast.dev/caller": "true"}}}]


def test_agents_reach_what_they_need() -> None:
    """Task managers, names, and the internet; the session host's agents have no task manager but its own."""
    reached = {
        role: [peer for policy in _policies_of(role) for rule in policy.get("egress", ()) for peer in rule["to"]]
        for role in ROLES
    }
    managers = {
        role: [peer for peer in peers if "podSelector" in peer and selected(peer["podSelector"]) == {"task-manager"}]
        for role, peers in reached.items()
    }

    assert {role: len(found) for role, found in managers.items()} == {"agent": 1, "task-manager": 0, "session-host": 0}
    internet = {
        role: [peer for peer in peers if "except" in peer.get("ipBlock", {})] for role, peers in reached.items()
    }
    assert internet["agent"] == internet["session-host"]
    assert [peer["ipBlock"]["cidr"] for peer in internet["agent"]] == ["0.0.0.0/0", "::/0"]
    assert "169.254.0.0/16" in internet["agent"][0]["ipBlock"]["except"]
    assert internet["task-manager"] == []


def test_the_database_is_for_those_who_have_its_url() -> None:
    """The way that the example opens is that of the roles with the store's secret."""
    policy = read(OVERLAY / "database-network-policy.yaml")["spec"]

    assert selected(policy["podSelector"]) == {role for role in ROLES if "OUTLAST_STORE_FILE" in environment(role)}
    assert selected(policy["podSelector"]) == {"task-manager", "session-host"}


def test_policies_select_pods_that_are_there() -> None:
    """A policy with a label that nothing has would be no policy."""
    for policy in [*map(read, BESIDE), *of_kind("NetworkPolicy")]:
        assert selected(policy["spec"]["podSelector"]), policy["metadata"]["name"]


@pytest.mark.parametrize("role", ROLES)
def test_metrics_are_where_they_are_said_to_be(role: str) -> None:
    """The port that the exporter is told, the container's, and the one in the annotations are one."""
    (port,) = (each["containerPort"] for each in container(role)["ports"] if each["name"] == "metrics")
    annotations = workload(role)["spec"]["template"]["metadata"]["annotations"]

    assert shared()["OTEL_METRICS_EXPORTER"] == "prometheus"
    assert shared()["OTEL_EXPORTER_PROMETHEUS_HOST"] == "0.0.0.0"
    assert shared()["OTEL_EXPORTER_PROMETHEUS_PORT"] == annotations["prometheus.io/port"] == str(port)


def _served(service: Json) -> set[str]:
    return selected({"matchLabels": service["spec"]["selector"]})


def _policies_of(role: str) -> list[Json]:
    return [each["spec"] for each in of_kind("NetworkPolicy") if role in selected(each["spec"]["podSelector"])]
