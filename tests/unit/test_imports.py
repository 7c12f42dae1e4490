"""Who may import whom: the walls between the rooms, read from the sources, and one from a running interpreter."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "agent"
PACKAGE = SOURCES / "holdfast"


def table_of_rooms() -> dict[str, set[str]]:
    """room -> the rooms it imports besides itself, as docs/architecture.md says."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("\n## Rooms\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {room.strip("`/").removesuffix(".py"): set(re.findall(r"`([a-z_]+)`", allowed)) for room, _, allowed in rows}


#: `holdfast` itself (the version) is open to all.
ALLOWED = table_of_rooms()
#: The protocol knows no clock, no socket and no file.
FORBIDDEN_IN_CORE = {"socket", "asyncio", "time", "os", "logging", "pathlib", "io", "subprocess", "threading"}


def sources(room: str) -> list[Path]:
    """The modules of a room, which may be a single file."""
    return sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]


def imports(path: Path, *, types: bool = False) -> Iterator[tuple[str, int]]:
    """Every module that a file imports anywhere in it, with the line; with ``types`` those for type checkers too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(inner) for node in ast.walk(tree) if _for_type_checkers(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped and not types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            assert node.module is not None
            yield node.module, node.lineno
            # `from holdfast.core import events` means a module, `from holdfast.core.lease import Lease` does not
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_every_room_has_its_row() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    files = {path.stem for path in PACKAGE.glob("[a-z]*.py")}
    assert rooms | files == set(ALLOWED), "docs/architecture.md has a row for every room, and for nothing else"


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_the_table_of_rooms_is_what_the_files_import(room: str) -> None:
    """Both ways, types included: no arrow that the table does not have, and none in it that is not used."""
    arrows: dict[str, str] = {}
    for path in sources(room):
        for module, line in imports(path, types=True):
            target = module.removeprefix("holdfast.").split(".")[0]
            if module.startswith("holdfast.") and target in ALLOWED and target != room:
                arrows.setdefault(target, f"{path.relative_to(PACKAGE)}:{line}")
    assert {name: where for name, where in arrows.items() if name not in ALLOWED[room]} == {}
    assert ALLOWED[room] - set(arrows) == set(), f"nothing in {room} imports these any more"


def test_imports_run_one_way() -> None:
    """A room imports rooms above it in the table only."""
    order = list(ALLOWED)
    assert [(room, below) for room in order for below in ALLOWED[room] if order.index(below) >= order.index(room)] == []


def test_no_two_files_import_each_other() -> None:
    """In the whole of agent/, types included."""
    names = {_module(path): path for path in SOURCES.rglob("*.py")}
    arrows = {
        name: {module for module, _ in imports(path, types=True) if module in names} for name, path in names.items()
    }
    assert [(a, b) for a in sorted(arrows) for b in sorted(arrows[a]) if a < b and a in arrows[b]] == []


def _module(path: Path) -> str:
    parts = path.relative_to(SOURCES).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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


def _loaded_by(code: str, *options: str) -> list[str]:
    """The modules of an interpreter with ``options`` that has run ``code``."""
    # A private path instead of the environment: coverage would load modules of its own.
    clean = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); {code}; print('\\n'.join(sys.modules))"
    command = [sys.executable, "-I", *options, "-c", clean]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    ).stdout.split()


def test_what_a_boot_waits_for_loads_no_re() -> None:
    # The agent would load them for its first answer, which is to what waits, and what waits before its question.
    loaded = _loaded_by("import holdfast.online, holdfast.publish.publisher, holdfast.control.interface as one; "
                        "one.definition(one.NAME)", "-S")  # as the packages start it
    assert not {"re", "enum", "json", "socket", "ipaddress", "signal"} & set(loaded)


def test_the_daemon_loads_neither_click_nor_scapy_nor_the_lab() -> None:
    loaded = _loaded_by("import holdfast.runtime.__main__")
    heads = {name.split(".")[0] for name in loaded}
    assert not heads & {"click", "scapy", "asyncio", "platformdirs"}
    assert not [name for name in loaded if name.startswith(("holdfast_lab", "holdfast.cli", "holdfast_lab.simulate"))]


def test_every_attribute_of_the_machine_has_one_writer() -> None:
    # The machine of the core is the one mutable record that many files share.
    writers: dict[str, set[str]] = {}
    for path in sources("core"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        initial = {id(node) for method in ast.walk(tree) if isinstance(method, ast.FunctionDef)
                   and method.name == "__init__" for node in ast.walk(method)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Store) or id(node) in initial:
                continue
            if isinstance(node.value, ast.Name) and node.value.id in ("m", "self"):
                writers.setdefault(node.attr, set()).add(path.name)
    assert (writers["state"], writers["arp"]) == ({"machine.py"}, {"arp.py"})
    assert {name: files for name, files in writers.items() if len(files) > 1} == {}


# -- tests and what they test --------------------------------------------------------------------


def _private(name: object) -> bool:
    last = name.rpartition(".")[2] if isinstance(name, str) else ""
    return last.startswith("_") and not last.startswith("__")


def _private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names with an underscore that a file imports from elsewhere, or has replaced by a string with their name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names if _private(alias.name))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            named = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
            yield from ((node.lineno, name) for name in named if _private(name))


@pytest.mark.parametrize(("source", "found"), [
    ("from holdfast.x import _y", ["_y"]),
    ("patch.setattr(module, '_y', 1)", ["_y"]),
    ("patch.setattr('holdfast.x._y', 1)", ["holdfast.x._y"]),
    ("from holdfast.x import y\npatch.setattr(module, 'y', '_z')\npatch.setattr(module, '__file__', 1)", []),
])
def test_private_names_are_found(source: str, found: list[str]) -> None:
    assert [name for _, name in _private_names(ast.parse(source))] == found


def test_tests_import_and_replace_nothing_private() -> None:
    """Beside ruff's SLF001, which sees only what is read and called."""
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert len(files) > 100
    found = [f"{path.relative_to(ROOT)}:{line}: {name}" for path in files
             for line, name in _private_names(ast.parse(path.read_text(encoding="utf-8")))]
    assert found == []
