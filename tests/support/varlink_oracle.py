"""Interface definitions as our parser and PyPI's ``varlink`` understand them, in the same words."""

from __future__ import annotations

from typing import Any

import varlink.scanner as oracle

from holdfast.control.idl import Array, Enum, Map, Maybe, Named, Primitive, Struct, parse


def _told(kind: Any) -> object:
    """A type of either parser, in words that both have."""
    if isinstance(kind, (Struct, oracle._Struct)):
        return {name: _told(inner) for name, inner in kind.fields.items()}
    if isinstance(kind, Enum):
        return list(kind.values)
    if isinstance(kind, oracle._Enum):
        return list(kind.fields)
    if isinstance(kind, (Named, oracle._CustomType)):
        return f"type {kind.name}"
    if isinstance(kind, Primitive):
        return kind.name
    if isinstance(kind, oracle._Object):
        return "object"
    for ours, theirs in ((Array, oracle._Array), (Map, oracle._Dict), (Maybe, oracle._Maybe)):
        if isinstance(kind, ours):
            return ours.__name__, _told(kind.element)
        if isinstance(kind, theirs):
            return ours.__name__, _told(kind.element_type)
    return {bool: "bool", int: "int", float: "float", str: "string"}[type(kind)]


def told(text: str) -> dict[str, object]:
    """Every member as our parser understands it."""
    ours = parse(text)
    return {
        **{name: ("type", _told(kind)) for name, kind in ours.types.items()},
        **{name: ("method", _told(one.takes), _told(one.gives)) for name, one in ours.methods.items()},
        **{name: ("error", _told(kind)) for name, kind in ours.errors.items()},
    }


def told_by_oracle(text: str) -> dict[str, object]:
    """Every member as the independent parser understands it."""
    found: dict[str, object] = {}
    for name, member in oracle.Interface(text).members.items():
        if isinstance(member, oracle._Method):
            found[name] = "method", _told(member.in_type), _told(member.out_type)
        else:
            found[name] = "type" if isinstance(member, oracle._Alias) else "error", _told(member.type)
    return found
