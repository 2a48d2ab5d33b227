"""Tokens of sessions: made from a secret, known again by it, and by nothing else."""

from __future__ import annotations

import base64
import string

import pytest

from outlast.core.session import SessionKey
from outlast.settings.kinds import read as read_kind
from outlast.settings.values import Token
from outlastd.task_manager.session_tokens import MAX_TOKEN, PREFIX, mint, read

SECRET = "w0rkers"
KEY = SessionKey("planner", "a-session-of-thirty-three-letters")


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        SessionKey("a" * 100, "s" * 256),
        SessionKey("Reiseplaner für Jürgen", "日本語"),
        SessionKey("a.b", "c"),
        SessionKey("a", "b.c"),
    ],
)
def test_a_token_says_which_session_it_opens(key: SessionKey) -> None:
    """With the secret that it was made from it is read back, and settings take it."""
    token = mint(SECRET, key)
    assert read(SECRET, token) == key
    assert read_kind(Token, token) == token
    assert len(token) <= MAX_TOKEN
    assert mint(SECRET, key) == token


def test_each_session_has_a_token_of_its_own() -> None:
    """Names that run into one another when put together do not have the same one."""
    keys = [SessionKey("ab", "c"), SessionKey("a", "bc"), SessionKey("a.b", "c"), SessionKey("a", "b.c")]
    assert len({mint(SECRET, key) for key in keys}) == len(keys)


def test_every_changed_character_is_noticed() -> None:
    """No other spelling of a token is one: neither a letter changed, nor dropped, nor padding added."""
    token = mint(SECRET, KEY)
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert read(SECRET, token[:place] + other + token[place + 1 :]) is None
        assert read(SECRET, token[:place] + token[place + 1 :]) is None
    alphabet = string.ascii_letters + string.digits + "-_"
    assert [last for last in alphabet if read(SECRET, token[:-1] + last)] == [token[-1]]
    for spelled in (token + "=", token + "\n", " " + token, token + ".", token.replace(".", "=.", 1)):
        assert read(SECRET, spelled) is None


def test_a_signature_is_for_its_names_only() -> None:
    """Another session's name before it is refused, and so is another secret's signature."""
    _, agent, session_id, signature = mint(SECRET, KEY).split(".")
    other = base64.urlsafe_b64encode(b"another").decode().rstrip("=")
    assert read(SECRET, f"{PREFIX}{agent}.{other}.{signature}") is None
    assert read(SECRET, f"{PREFIX}{other}.{session_id}.{signature}") is None
    assert read(SECRET, f"{PREFIX}{session_id}.{agent}.{signature}") is None
    assert read("w0rkers2", mint(SECRET, KEY)) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "session.",
        "session...",
        "session.x",
        "session.a.b.c.d",
        "session.é.b.c",
        SECRET,
        "session." + "x" * 1_000_000,
    ],
)
def test_what_is_no_token_is_none(token: str) -> None:
    """Whatever is shown, and however long it is."""
    assert read(SECRET, token) is None


def test_an_empty_secret_is_no_secret() -> None:
    """It makes no token and knows none: who has set none trusts nobody by one."""
    with pytest.raises(ValueError, match="secret"):
        mint("", KEY)
    assert read("", mint(SECRET, KEY)) is None


@pytest.mark.parametrize("key", [SessionKey("", "s"), SessionKey("a", ""), SessionKey("a", "s" * MAX_TOKEN)])
def test_a_token_is_for_one_session_with_names_of_bounded_length(key: SessionKey) -> None:
    """No token opens the tasks of no session, or of no agent."""
    with pytest.raises(ValueError, match="token"):
        mint(SECRET, key)
