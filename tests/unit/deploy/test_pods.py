"""What every pod may do, needs, and how it ends."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from outlast.settings.kinds import read as read_kind
from outlast.settings.model import FIELDS
from outlast.settings.values import Seconds
from outlastd.launch import agent, manager, telemetry
from outlastd.task_manager import server

from .manifests import (
    OVERLAY,
    ROLES,
    ROOT,
    container,
    environment,
    labels,
    of_kind,
    pod,
    read,
    selected,
    shared,
    workload,
)

every_role = pytest.mark.parametrize("role", ROLES)

#: Seconds between what the manifests give a pod and what they give its tasks.
BEYOND_GRACE = 10
#: Where each role writes.
WRITTEN = {
    "agent": {"/tmp"},
    "task-manager": {"/tmp"},
    "session-host": {"/tmp", "/var/lib/outlast"},
}


@every_role
def test_a_pod_is_restricted(role: str) -> None:
    """As the pod security standard `restricted` has it, which the example enforces; and with a read-only root."""
    security, own = pod(role)["securityContext"], container(role)["securityContext"]

    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    kinds = {kind for volume in pod(role)["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "emptyDir", "secret"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(role))
    assert "hostPort" not in str(container(role)["ports"])
    enforced = read(OVERLAY / "namespace.yaml")["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"


@every_role
def test_a_pod_has_the_user_of_the_image(role: str) -> None:
    """Volumes are that user's group's, so that it reads secrets and writes what it has to."""
    users = re.findall(r"^USER (\d+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    security = pod(role)["securityContext"]

    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == int(users[-1])


@every_role
def test_a_pod_does_not_speak_to_the_api_server(role: str) -> None:
    """It has an account and no token of it, nor the variables of Services, which look like settings."""
    accounts = {each["metadata"]["name"]: each for each in of_kind("ServiceAccount")}
    account = accounts[pod(role)["serviceAccountName"]]

    assert account["automountServiceAccountToken"] is False
    assert pod(role)["automountServiceAccountToken"] is False
    assert pod(role)["enableServiceLinks"] is False


@every_role
def test_what_is_written_is_a_volume(role: str) -> None:
    """Everything else is read-only: the image, the configuration, the secrets."""
    mounts = container(role)["volumeMounts"]
    claims = {each["metadata"]["name"] for each in workload(role)["spec"].get("volumeClaimTemplates", ())}
    volumes = {each["name"]: each for each in pod(role)["volumes"]}

    writable = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}
    assert writable == WRITTEN[role]
    assert {mount["name"] for mount in mounts} == set(volumes) | claims
    for mount in mounts:
        kept = mount["name"] in claims or "emptyDir" in volumes[mount["name"]]
        assert kept is (mount["mountPath"] in writable)
    for volume in volumes.values():
        assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]
    assert shared()["TMPDIR"] in writable
    assert environment(role).get("HOME", "/tmp") in writable


@every_role
def test_secrets_are_files_for_the_group(role: str) -> None:
    """Only those that the role needs, with the keys of the README, where its variables look for them."""
    (volume,) = (each["secret"] for each in pod(role)["volumes"] if "secret" in each)
    (mount,) = (each["mountPath"] for each in container(role)["volumeMounts"] if each["name"] == "tokens")
    keys = {item["key"]: str(PurePosixPath(mount, item["path"])) for item in volume["items"]}

    assert volume["secretName"] == "outlast"
    assert volume["defaultMode"] == 0o440
    assert (
        set(keys)
        == {
            "agent": {"token", "worker-token"},
            "task-manager": {"token", "worker-token", "store"},
            "session-host": {"token", "store"},
        }[role]
    )
    named = {name: value for name, value in environment(role).items() if name.endswith("_FILE")}
    assert named == {f"OUTLAST_{key.upper().replace('-', '_')}_FILE": path for key, path in keys.items()}


@every_role
def test_a_pod_has_room(role: str) -> None:
    """It is placed by what it needs, and bounded in what would harm others; the processor is never taken from it."""
    resources = container(role)["resources"]

    assert set(resources["requests"]) == {"cpu", "memory", "ephemeral-storage"}
    assert set(resources["limits"]) == {"memory", "ephemeral-storage"}


@every_role
def test_a_pod_ends_after_its_tasks(role: str) -> None:
    """The time for its end is that of its tasks and 10 s, which is enough for what comes before and after them."""
    set_to = environment(role).get("OUTLAST_SHUTDOWN_GRACE", FIELDS["shutdown_grace"].default)
    grace = read_kind(Seconds, set_to)
    last_lines = telemetry.SPANS_GRACE + telemetry.LOG_GRACE
    needed = {
        # What tasks use is closed after them, then the stream.
        "agent": grace + agent.FLUSH_TIMEOUT * 2 + last_lines,
        # It has no tasks to wait for.
        "task-manager": manager.STOP_GRACE + server.COMMIT_GRACE + last_lines,
        "session-host": grace + manager.STOP_GRACE + last_lines,
    }
    before = container(role)["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod(role)["terminationGracePeriodSeconds"] == grace + BEYOND_GRACE
    assert before + needed[role] < pod(role)["terminationGracePeriodSeconds"]


@every_role
def test_probes_ask_a_port_that_is_there(role: str) -> None:
    """All three ask the same: a start may take two minutes, and a pod is restarted after at least half a minute."""
    ports = {port["name"]: port["containerPort"] for port in container(role)["ports"]}
    probes = [container(role)[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]

    if role == "task-manager":
        assert [probe["grpc"] for probe in probes] == [{"port": ports["grpc"]}] * 3
    else:
        assert [probe["httpGet"] for probe in probes] == [{"path": "/ping", "port": "http"}] * 3
    startup, readiness, liveness = ([probe["periodSeconds"], probe["failureThreshold"]] for probe in probes)
    assert startup[0] * startup[1] >= 120
    assert readiness[0] * readiness[1] <= 15
    assert liveness[0] * liveness[1] >= 30


@every_role
def test_ports_are_those_of_the_image(role: str) -> None:
    """What the image exposes is what the roles listen on, beside metrics."""
    (exposed,) = re.findall(r"^EXPOSE (.*)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    ports = {port["containerPort"] for port in container(role)["ports"] if port["name"] != "metrics"}

    assert ports <= {int(port) for port in exposed.split()}


@every_role
def test_pods_are_spread(role: str) -> None:
    """Over nodes and zones, where there are any; and a disruption leaves some."""
    spec = workload(role)["spec"]
    spread = pod(role)["topologySpreadConstraints"]
    (budget,) = (
        each["spec"] for each in of_kind("PodDisruptionBudget") if selected(each["spec"]["selector"]) == {role}
    )

    assert spec["selector"]["matchLabels"] == labels(role)
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for each in spread:
        assert each["labelSelector"] == spec["selector"]
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"
    kept = budget.get("minAvailable", 0)
    assert kept < spec["replicas"], "a node could never be drained"
    assert budget.get("maxUnavailable") == (None if kept else 1)


@pytest.mark.parametrize("role", ["agent", "task-manager"])
def test_a_rollout_begins_with_a_new_pod(role: str) -> None:
    """So there is never one less, and the rollout does not wait for the tasks of the old one."""
    assert workload(role)["spec"]["strategy"] == {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert workload(role)["spec"]["replicas"] == 2


def test_a_session_host_is_alone() -> None:
    """A session lives in one host, and any other refuses it: more than one needs a proxy that knows."""
    spec = workload("session-host")["spec"]

    assert spec["replicas"] == 1
    assert spec["serviceName"] in {each["metadata"]["name"] for each in of_kind("Service")}
