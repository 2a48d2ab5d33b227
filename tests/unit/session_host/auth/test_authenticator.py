"""How the authenticator is made, and what it asks for."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.settings.kinds import read
from outlastd.front_door.request import Request
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.auth.authenticator import CallerAuthenticator, make_authenticator
from outlastd.session_host.auth.bearer import SUBPROTOCOL, bearer_of
from outlastd.session_host.auth.neighbours import Neighbours
from outlastd.session_host.config import AuthConfig

from .asking import asking

KEY = {"name": "alice", "access_key": "AKIDEXAMPLE", "secret_variable": "A_SECRET"}
JWT = {"issuer": "i", "audience": "a", "jwks_url": "https://localhost/keys"}


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "a-secret")


def make(**auth: Any) -> CallerAuthenticator:
    """Make one."""
    return make_authenticator(read(AuthConfig, auth), "operators", Neighbours(list))


#: Makes an authenticator where a package is missing, and prints what is loaded of the extra, or why it cannot start.
PROGRAM = """
import json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from outlast.core.errors import StartRefused
from outlast.settings.kinds import read
from outlastd.session_host.auth.authenticator import make_authenticator
from outlastd.session_host.auth.neighbours import Neighbours
from outlastd.session_host.config import AuthConfig
try:
    make_authenticator(read(AuthConfig, json.loads(sys.argv[2])), "operators", Neighbours(list))
    print(sorted({"botocore", "jwt", "cryptography"} & set(sys.modules)))
except StartRefused as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("missing", "auth", "said"),
    [
        ("botocore", {"keys": [KEY]}, "auth needs botocore, which is not installed: pip install 'outlast[host]'"),
        ("jwt", {"jwt": JWT}, "auth needs jwt, which is not installed: pip install 'outlast[host]'"),
        ("cryptography", {"jwt": JWT}, "auth.jwt needs cryptography: pip install 'outlast[host]'"),
        ("", {}, "[]"),
        ("jwt", {"keys": [KEY]}, "['botocore']"),
    ],
)
def test_the_extra_is_needed_only_for_what_it_is_for(missing: str, auth: dict[str, Any], said: str) -> None:
    """Without it the start is refused with the cure; a host on a laptop starts without it."""
    command = [sys.executable, "-c", PROGRAM, missing, json.dumps(auth)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == said


async def status(authenticator: CallerAuthenticator, request: Request) -> int:
    """Return the status of the refusal."""
    with pytest.raises(ApiError) as refusal:
        await authenticator.read(request)
    return refusal.value.status


async def test_from_another_machine_nobody_is_let_in_without_credentials() -> None:
    """Whatever is configured; where only bearer tokens are, the answer asks for one."""
    request = asking(peer="192.0.2.1")
    signed = asking(peer="192.0.2.1", headers=[("Authorization", "AWS4-HMAC-SHA256 Credential=a")])

    for asked in (request, signed, asking(peer=""), asking(peer="no address")):
        assert await status(make(), asked) == 403
        assert await status(make(keys=[KEY]), asked) == 403
        assert await status(make(jwt=JWT), asked) == 401
        assert await status(make(keys=[KEY], jwt=JWT), asked) == 403


async def test_the_operators_token_is_let_in_from_anywhere() -> None:
    """Whatever is configured."""
    request = asking(peer="192.0.2.1", headers=[("Authorization", "Bearer operators")])

    for authenticator in (make(), make(keys=[KEY]), make(jwt=JWT), make(keys=[KEY], jwt=JWT)):
        assert (await authenticator.read(request)).prove("").operator


#: Anything that a header may hold, and the parts of a bearer token.
VALUES = st.text(max_size=40) | st.builds(
    "{}{}{}".format,
    st.sampled_from(["Bearer ", "bearer", f"{SUBPROTOCOL}."]),
    st.text(max_size=20),
    st.text(max_size=5),
)


@given(authorization=st.lists(VALUES, max_size=2), protocols=st.lists(VALUES, max_size=3), upgrade=st.booleans())
async def test_whatever_is_shown_is_denied_and_no_fault_of_ours(
    authorization: list[str], protocols: list[str], upgrade: bool
) -> None:
    """From another machine, with 403."""
    headers = [("Authorization", value) for value in authorization]
    headers += [("Sec-WebSocket-Protocol", value) for value in protocols]
    headers += [("Upgrade", "websocket")] if upgrade else []

    assert await status(make(), asking(headers=headers, peer="192.0.2.1")) == 403


@given(token=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_bearer_token_is_read_wherever_it_may_be(token: str) -> None:
    """In its header; among the subprotocols only of a WebSocket."""
    encoded = base64.urlsafe_b64encode(token.encode()).decode()
    upgrade, protocol = ("Upgrade", "websocket"), "Sec-WebSocket-Protocol"

    assert bearer_of(asking(headers=[("Authorization", f"Bearer  {token}")])) == token
    for shown in (encoded, encoded.rstrip("=")):
        offered = (protocol, f"chat, {SUBPROTOCOL}.{shown},{SUBPROTOCOL}")
        assert bearer_of(asking(headers=[upgrade, offered])) == token
        assert bearer_of(asking(headers=[offered])) is None
    assert bearer_of(asking(headers=[upgrade, (protocol, "chat")])) is None
    assert bearer_of(asking(headers=[upgrade, (protocol, f"{SUBPROTOCOL}.ä")])) == ""
