"""The lines of a TOML text's keys, held against tomllib."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outlastd.session_host.toml_lines import KeyPath, TomlLines

TEXT = '''\
# a comment
dotted.key = 1
"quoted.key" = """
[not.a.table]
"""

[agents.research]  # another
file = "x"
headers = [
  "A",
  "B", "C",
  # comment ]
  { k = "]" },
  "D"
]
[[auth.keys]]
name = "first"
[[auth.keys]]
name = "second"
nested = { a = { b = [1, 2] } }
[auth.keys.deep]
z = [
  [1,
   2],
  [3]]
[auth]
region = 'r'
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("dotted", "key"), 2),
        (("dotted",), 2),
        (("quoted.key",), 3),
        (("agents",), 7),
        (("agents", "research"), 7),
        (("agents", "research", "file"), 8),
        (("agents", "research", "headers"), 9),
        (("agents", "research", "headers", 0), 10),
        (("agents", "research", "headers", 2), 11),
        (("agents", "research", "headers", 3), 13),
        (("agents", "research", "headers", 3, "k"), 13),
        (("agents", "research", "headers", 4), 14),
        (("auth", "keys", 0), 16),
        (("auth", "keys", 0, "name"), 17),
        (("auth", "keys", 1), 18),
        (("auth", "keys", 1, "name"), 19),
        (("auth", "keys", 1, "nested", "a", "b", 1), 20),
        (("auth", "keys", 1, "deep"), 21),
        (("auth", "keys", 1, "deep", "z", 0), 24),  # over two lines: where it ends
        (("auth", "keys", 1, "deep", "z", 1), 25),
        (("auth",), 26),
        (("auth", "region"), 27),
        # What is not there has the line of what it would stand in.
        (("auth", "keys", 0, "access_key"), 16),
        (("agents", "research", "headers", 9), 9),
        (("nothing", "at", "all"), 1),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_key_has_its_line(path: KeyPath, line: int, end: str) -> None:
    """Tables, arrays of tables, dotted and quoted keys, values over several lines, and what is missing."""
    assert TomlLines(TEXT.replace("\n", end)).line(path) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\n", None),
        ("a = 1\nb = [\n1,\n2,\n", 2),
        ('a = 1\n\nb = """\n[x]\ny = 1\n', 3),
        ("a = 99" + "9" * 5_000, 1),
        ('a = """\n' + "long\n" * 100_000, 1),
    ],
)
def test_what_does_not_end_is_told_by_where_it_begins(text: str, line: int | None) -> None:
    """The first statement that cannot be read; one that never ends is given up on before that takes long."""
    assert TomlLines(text).unreadable == line


def test_a_long_array_takes_no_longer_than_its_length() -> None:
    """Elements that have ended are not read again."""
    lines = TomlLines("a = [\n" + '{ name = "x" },\n' * 5_000 + "]\nb = 1\n")

    assert (lines.line(("a", 4_999, "name")), lines.line(("b",))) == (5_001, 5_003)


# -- any text ----------------------------------------------------------------------------------------------

_SCALARS = st.one_of(
    st.integers(-5, 5).map(str),
    st.sampled_from(["true", "1.5", "1979-05-27T07:32:00Z", "'lit # [x]'", '"]"', '"a = 1"', '"""one # line"""']),
    st.text("ab]\"[#={},\n\\'é", max_size=6).map(json.dumps),
)
_LONG_STRINGS = st.lists(st.sampled_from(["[x]", "a = 1", "", "]", "# c", "'"]), max_size=3).map(
    lambda lines: '"""\n' + "\n".join([*lines, '"""'])
)
_GAPS = st.sampled_from(["", "# comment ] [x]\n", "\n\n", '  # """\n'])


class Writer:
    """Writes TOML, and notes on which line it writes what."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.text = ""
        self.lines: dict[KeyPath, int] = {}
        self._draw = draw
        self._names = 0

    def name(self) -> str:
        """Return a name that nothing else has."""
        self._names += 1
        return self._draw(st.sampled_from(["k", "a.b", "", "é", 'x"y', "[k]"])) + str(self._names)

    def here(self, path: KeyPath) -> None:
        """Note that ``path`` stands on this line."""
        self.lines[path] = self.text.count("\n") + 1

    def gap(self) -> None:
        """Write a comment, an empty line, or nothing."""
        self.text += self._draw(_GAPS)

    def pair(self, table: KeyPath) -> None:
        """Write a key with a value."""
        names = [self.name() for _ in range(self._draw(st.integers(1, 2)))]
        path = (*table, *names)
        self.here(path)
        self.text += f"{_dotted(names)} = "
        match self._draw(st.integers(0, 3)):
            case 0:
                self.text += self._draw(_SCALARS)
            case 1:
                self.text += self._draw(_LONG_STRINGS)
            case 2:
                inner = self.name()
                self.here((*path, inner))
                self.text += "{ " + _dotted([inner]) + " = " + self._draw(_SCALARS) + " }"
            case 3:
                self.array(path)
        self.text += self._draw(st.sampled_from(["\n", "  # comment\n"]))

    def array(self, path: KeyPath) -> None:
        """Write an array with an element on each line."""
        self.text += "[\n"
        count = self._draw(st.integers(0, 3))
        for number in range(count):
            self.gap()
            self.here((*path, number))
            if self._draw(st.booleans()):
                self.text += self._draw(_SCALARS)
            else:
                inner = self.name()
                self.here((*path, number, inner))
                self.text += "{" + _dotted([inner]) + " = [" + self._draw(_SCALARS) + "]}"
            self.text += self._draw(st.sampled_from([",\n", ", # ]\n"])) if number < count - 1 else "\n"
        self.text += self._draw(st.sampled_from(["]", "  ]"]))


def _dotted(names: list[str]) -> str:
    return " . ".join(json.dumps(name, ensure_ascii=False) for name in names)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[KeyPath, int]]:
    """Draw a text, and the lines of what stands in it."""
    writer = Writer(draw)
    tables: list[KeyPath] = [()]
    for number in range(draw(st.integers(1, 4))):
        writer.gap()
        if number:
            parent = draw(st.sampled_from(tables))
            names = [name for name in parent if isinstance(name, str)]
            path = (*parent, writer.name())
            again = draw(st.integers(0, 2))
            if again:  # an array of one or two tables; what follows belongs to the last
                for index in range(again):
                    writer.here((*path, index))
                    writer.text += f"[[{_dotted([*names, str(path[-1])])}]]\n"
                path = (*path, again - 1)
            else:
                writer.here(path)
                writer.text += f"[ {_dotted([*names, str(path[-1])])} ] # x\n"
            tables.append(path)
        for _ in range(draw(st.integers(0, 3))):
            writer.pair(tables[-1])
            writer.gap()
    return writer.text, writer.lines


@given(documents())
def test_every_line_is_where_it_was_written(document: tuple[str, dict[KeyPath, int]]) -> None:
    """Whatever a text is made of, its keys are found where they were written, and nothing is left out."""
    text, written = document
    found = TomlLines(text)

    assert found.unreadable is None
    assert {path: found.line(path) for path in written} == written
    last = text.count("\n") + 1
    assert all(1 <= found.line(path) <= last for path in _paths(tomllib.loads(text), ()))


@given(st.text("a.=\"[]{}#,'\n\\1 ", max_size=40))
@example('a = """\n')
@example("[[a]]\n[a.b]\n[[a]]\nb = [\n1\n]")
def test_no_text_is_too_strange(text: str) -> None:
    """Where tomllib can read all of a text, so can the search for lines; and nothing makes it fail."""
    found = TomlLines(text)

    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert found.unreadable is None


def _paths(value: Any, path: KeyPath) -> list[KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, child in items for inner in _paths(child, (*path, key)))]
