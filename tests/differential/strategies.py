"""What Hypothesis makes requests of. The same ones each time: a difference is found on every machine or on none."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: For tests that ask real processes: no deadline, and nothing left to chance.
STEADY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

#: Any text that UTF-8 can say, control characters among it.
TEXT = st.text(st.characters(codec="utf-8"))
#: Text with a lone surrogate in it, which UTF-8 cannot say and JSON can.
UNSPEAKABLE_TEXT = st.tuples(TEXT, st.characters(categories=["Cs"]), TEXT).map("".join)
NUMBERS = st.integers() | st.floats() | st.integers(-(2**80), 2**80)
#: Anything that ``json.dumps`` writes, NaN and infinities as it does.
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)

_TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Names that say how a message is framed or who may talk: a request with a made-up one is another request.
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "host", "origin", "te", "trailer", "transfer-encoding", "upgrade"}
)
#: A header's name as HTTP has it (RFC 9110, section 5.1).
HEADER_NAMES = st.text(_TOKEN, min_size=1, max_size=30).filter(lambda name: name.lower() not in _FRAMING)
#: A header's value of visible ASCII, spaces and tabs within it (RFC 9110, section 5.5).
HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\t"), max_size=60).map(str.strip)
#: What may stand in a request once: aiohttp refuses a second one, which uvicorn lets pass (docs/compatibility.md).
_ONCE = frozenset({"content-location", "content-range", "content-type", "etag", "max-forwards", "server", "user-agent"})
#: Some headers.
HEADERS = st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=6).filter(
    lambda headers: all([name.lower() for name, _ in headers].count(once) < 2 for once in _ONCE)
)
#: A header's value that can be an id.
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
