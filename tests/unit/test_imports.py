"""Who may import whom: the walls between the rooms, read from the sources, and one from a running interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "agent" / "holdfast"

#: room -> the rooms it may import besides itself. `holdfast` itself (the version) is open to all.
ALLOWED = {
    "wire": set(),
    "clock": {"wire"},
    "escape": set(),
    "strict_json": set(),
    "core": {"wire"},
    "network": {"core", "escape", "wire"},
    "observe": {"core", "escape", "state", "strict_json", "wire"},
    "settings": {"core", "wire"},
    "eventloop": {"clock", "wire"},
    "sockets": {"core", "eventloop", "wire"},
    "state": {"clock", "core", "wire"},
    "publish": {"escape", "network", "settings", "state", "wire"},
    "control": {"eventloop", "state", "strict_json", "wire"},
    "managers": {"takeover"},
    "takeover": {"control", "core", "escape", "managers", "network", "settings", "sockets", "state", "wire"},
    "doctor": {"cli", "escape", "managers", "network", "observe", "settings"},
    "runtime": {
        "clock", "control", "core", "escape", "eventloop", "network", "observe", "publish", "settings", "sockets",
        "state", "wire",
    },
    "cli": {"control", "doctor", "escape", "network", "observe", "runtime", "settings", "state", "takeover", "wire"},
}
#: The protocol knows no clock, no socket and no file.
FORBIDDEN_IN_CORE = {"socket", "asyncio", "time", "os", "logging", "pathlib", "io", "subprocess", "threading"}


def sources(room: str) -> list[Path]:
    """The modules of a room, which may be a single file."""
    return sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports anywhere in it, with the line; those for type checkers are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(inner) for node in ast.walk(tree) if _for_type_checkers(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            assert node.module is not None
            yield node.module, node.lineno
            if node.module == "holdfast":  # from holdfast import core
                yield from ((f"holdfast.{alias.name}", node.lineno) for alias in node.names)


def _for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_every_room_has_its_rule() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert rooms | {"clock", "escape", "strict_json"} == set(ALLOWED), "a new room needs its place in the order"


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_imports_run_one_way(room: str) -> None:
    wrong = []
    for path in sources(room):
        for module, line in imports(path):
            parts = module.split(".")
            if parts[0] != "holdfast" or len(parts) == 1 or parts[1].startswith("_"):
                continue
            if parts[1] != room and parts[1] not in ALLOWED[room]:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {module}")
    assert wrong == []


def test_wire_needs_the_standard_library_only() -> None:
    names = sys.stdlib_module_names | {"holdfast"}
    wrong = [
        (path.name, module)
        for path in sources("wire")
        for module, _ in imports(path)
        if module.split(".")[0] not in names
    ]
    assert wrong == []


def test_core_has_no_clock_no_socket_no_file() -> None:
    wrong = []
    for path in sources("core"):
        wrong += [(path.name, module) for module, _ in imports(path) if module.split(".")[0] in FORBIDDEN_IN_CORE]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        wrong += [(path.name, "open()") for func in calls if isinstance(func, ast.Name) and func.id == "open"]
        wrong += [(path.name, f"random.{name}") for name in _global_lots(tree)]
    assert wrong == []


def _global_lots(tree: ast.AST) -> Iterator[str]:
    """Uses of the random module's own state: everything but random.Random."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random":
            if node.attr != "Random":
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module == "random":
            yield from (alias.name for alias in node.names if alias.name != "Random")


def test_scapy_stays_in_the_lab() -> None:
    rooms = list(ALLOWED)
    wrong = [
        (str(path), module)
        for room in rooms
        for path in sources(room)
        for module, _ in imports(path)
        if module.startswith("scapy")
    ]
    assert wrong == []


def test_asyncio_is_nowhere_in_the_daemon() -> None:
    rooms = [room for room in ALLOWED if room not in ("cli", "doctor", "managers", "takeover")]
    wrong = [
        (str(path), module)
        for room in rooms
        for path in sources(room)
        for module, _ in imports(path)
        if module.startswith("asyncio")
    ]
    assert wrong == []


def test_the_daemon_loads_neither_click_nor_scapy_nor_the_lab() -> None:
    code = "import sys, holdfast.runtime.__main__; print('\\n'.join(sys.modules))"
    # A private path instead of the environment: coverage would load modules of its own.
    clean = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); {code}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", clean], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    loaded = done.stdout.split()
    heads = {name.split(".")[0] for name in loaded}
    assert not heads & {"click", "scapy", "asyncio", "platformdirs"}
    assert not [name for name in loaded if name.startswith(("holdfast_lab", "holdfast.cli", "holdfast_lab.simulate"))]
