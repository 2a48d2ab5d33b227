"""Values: dataclasses that never change once they are made. The type checker sees to that, and nothing at run time.

A frozen dataclass sets each field through ``object.__setattr__``, and ``dataclasses.replace`` goes through its fields
by name: for a Task 4 and 10 microseconds, most of what an operation cost. Made like this it takes 0.6, and a copy 0.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["evolve", "value"]

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:

    def value(*, frozen: bool, slots: bool) -> Callable[[type[T]], type[T]]:
        """Make a class a value: written as the frozen dataclass with slots that it is to the type checker."""
        assert frozen, "a value never changes"

        def make(cls: type[T]) -> type[T]:
            made = dataclass(slots=slots, init=False, eq=False, repr=False)(cls)
            for name in _WRITTEN:
                setattr(made, name, _written_when_called(made, name))
            return made

        return make


#: Methods that a value has.
_WRITTEN = ("__copy__", "__eq__", "__hash__", "__init__", "__repr__")


def evolve(value: T, /, **changed: Any) -> T:
    """Return a value with some fields changed: ``dataclasses.replace``, but that nothing is checked or computed."""
    copy: T = value.__copy__()  # type: ignore[attr-defined]
    for name, new in changed.items():
        setattr(copy, name, new)
    return copy


def _written_when_called(cls: type[T], name: str) -> Callable[..., Any]:
    """Return a method that writes the real one, and becomes it.

    To write them takes ten times as long as the rest of the class, the start of an agent makes seventy classes, and few
    of their methods are called in it: written at once they were a twentieth of it.
    """

    def write(self: T, /, *others: Any, **named: Any) -> Any:
        setattr(cls, name, _copier(cls) if name == "__copy__" else _method(cls, name))
        return getattr(cls, name)(self, *others, **named)

    return write


def _method(cls: type[T], name: str) -> Callable[..., Any]:
    """Return the method that a value would have had as a dataclass."""
    assert all(each.init for each in fields(cls)), "whoever makes a value may give every field"  # type: ignore[arg-type]
    named = [
        (
            each.name,
            each.type,
            field(
                default=each.default,
                default_factory=each.default_factory,
                repr=each.repr,
                hash=each.hash,
                compare=each.compare,
                kw_only=each.kw_only,
            ),
        )
        for each in fields(cls)  # type: ignore[arg-type]
    ]
    namespace: dict[str, Any] = {"__doc__": cls.__doc__}  # which a dataclass without one would have to make up
    if (check := getattr(cls, "__post_init__", None)) is not None:
        namespace["__post_init__"] = check
    written = make_dataclass(
        cls.__name__,
        named,
        namespace=namespace,
        init=name == "__init__",
        eq=name == "__eq__",
        repr=name == "__repr__",
        unsafe_hash=name == "__hash__",
    )
    # It asks the instance for its class, and so is right in another.
    method: Callable[..., Any] = getattr(written, name)
    return method


def _copier(cls: type[T]) -> Callable[[T], T]:
    """Return a function that copies an instance field by field, written out as one would by hand."""
    copies = [f"new.{each.name} = old.{each.name}" for each in fields(cls)]  # type: ignore[arg-type]
    scope: dict[str, Any] = {"cls": cls, "make": object.__new__}
    exec("\n    ".join(["def copy(old):", "new = make(cls)", *copies, "return new"]), scope)
    copier: Callable[[T], T] = scope["copy"]
    return copier
