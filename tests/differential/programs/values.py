"""Returns and yields what payloads name: values of every kind that code may hand out."""

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import os
import pathlib
import uuid

import pydantic
from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@dataclasses.dataclass
class Point:
    x: float
    labels: list


@dataclasses.dataclass
class Holder:
    inner: object


class Model(pydantic.BaseModel):
    name: str
    point: dict | None = None
    when: datetime.date | None = None


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    HELLO = "hello"


class Plain:
    def __str__(self):
        return "a plain object"


class Silent:
    def __str__(self):
        raise RuntimeError("says nothing")

    __repr__ = __str__


class NotText:
    def __str__(self):
        return 7


class Dumping:
    def model_dump(self):
        return {"dumped": [1, 2]}


class FailingDump:
    def model_dump(self):
        raise ValueError("cannot be dumped")

    def __str__(self):
        return "a failing dump"


class DumpingNothingGood:
    def model_dump(self):
        return {1, 2}

    def __str__(self):
        return "a set from a dump"


class Mapping(dict):
    def items(self):
        raise RuntimeError("has no items")


class Text(str):
    def __str__(self):
        return "another text"


Pair = collections.namedtuple("Pair", "first second")


def circle():
    value = {"name": "circle"}
    value["self"] = value
    return value


def nested(depth, leaf):
    value = leaf
    for _ in range(depth):
        value = [value]
    return value


VALUES = {
    "none": lambda: None,
    "true": lambda: True,
    "zero": lambda: 0,
    "negative zero": lambda: -0.0,
    "float": lambda: 0.1 + 0.2,
    "tiny": lambda: 5e-324,
    "nan": lambda: float("nan"),
    "infinities": lambda: [float("inf"), float("-inf")],
    "big": lambda: 2**200,
    "too big": lambda: 10**5000,
    "text": lambda: "hello",
    "empty text": lambda: "",
    "unicode": lambda: "Grüße, 世界 \U0001f600 \u2028\u0000\x7f\x1f\ufeff",
    "lines": lambda: "one\ntwo\r\n\r\ndata: three",
    "quotes": lambda: "\"\\/'<>&",
    "bytes": lambda: b"some \xff bytes",
    "bytearray": lambda: bytearray(b"ab"),
    "list": lambda: [1, "two", None, [3.0]],
    "empty list": lambda: [],
    "empty object": lambda: {},
    "tuple": lambda: (1, (2, 3)),
    "named tuple": lambda: Pair(1, "b"),
    "set": lambda: {1},
    "empty set": lambda: set(),
    "frozen set": lambda: frozenset({1}),
    "set in object": lambda: {"set": {"one"}},
    "range": lambda: range(3),
    "object of numbers": lambda: {1: "a", 2.5: "b", True: "c", None: "d"},
    "object of tuples": lambda: {(1, 2): "a"},
    "object of bytes": lambda: {b"a": 1},
    "object of bytes and set": lambda: {b"a": {1}},
    "ordered": lambda: collections.OrderedDict(b=1, a=2),
    "counter": lambda: collections.Counter("aab"),
    "default": lambda: collections.defaultdict(list, a=[1]),
    "deque": lambda: collections.deque([1, 2]),
    "dataclass": lambda: Point(1.5, ["a"]),
    "dataclass in list": lambda: [Point(1, []), {"p": Point(2, [{1}])}],
    "dataclass of dataclass": lambda: Holder(Point(0, [])),
    "dataclass of set": lambda: Holder({1}),
    "dataclass of model": lambda: Holder(Model(name="m")),
    "dataclass itself": lambda: Point,
    "model": lambda: Model(name="m", point={"x": 1}),
    "model of date": lambda: Model(name="m", when=datetime.date(2026, 1, 2)),
    "model in object": lambda: {"models": [Model(name="m"), Model(name="n")]},
    "model itself": lambda: Model,
    "enum": lambda: Color.RED,
    "enum of int": lambda: Level.HIGH,
    "enum of text": lambda: {"word": Word.HELLO},
    "date": lambda: datetime.date(2026, 1, 2),
    "time in object": lambda: {"at": datetime.datetime(2026, 1, 2, 3, 4, 5)},
    "decimal": lambda: decimal.Decimal("1.50"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "complex": lambda: 1 + 2j,
    "uuid": lambda: uuid.UUID(int=7),
    "path": lambda: pathlib.PurePosixPath("/a/b"),
    "exception": lambda: ValueError("returned, not raised"),
    "exception in object": lambda: {"error": KeyError("k")},
    "class": lambda: Plain,
    "plain": Plain,
    "silent": Silent,
    "silent in list": lambda: [Silent()],
    "not text": NotText,
    "dumping": Dumping,
    "dumping in list": lambda: [Dumping()],
    "failing dump": FailingDump,
    "dump of set": DumpingNothingGood,
    "text of a kind": lambda: Text("original text"),
    "circle": circle,
    "deep 40": lambda: nested(40, {1}),
    "deep 50": lambda: nested(50, {1}),
    "deep 51": lambda: nested(51, {1}),
    "deep 60": lambda: nested(60, {1}),
    "deep 60 plain": lambda: nested(60, 1),
    "large": lambda: "x" * 3_000_000,
    "ellipsis": lambda: ...,
    "not implemented": lambda: NotImplemented,
}
#: Writing these as JSON fails in a way that is told as the handler's own failure.
FAILING = {"mapping without items": lambda: Mapping(a=1), "deep 100000": lambda: nested(100_000, 1)}


@app.entrypoint
def handler(payload):
    values = [{**VALUES, **FAILING}[name] for name in payload["values"]]
    if payload["how"] == "return":
        return values[0]()
    if payload["how"] == "echo":
        return payload["value"]
    if payload["how"] == "yield":
        return (value() for value in values)
    return each(values)


async def each(values):
    for value in values:
        yield value()


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
