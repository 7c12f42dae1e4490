"""From figures to words: the tables, the ratios, and whether the budgets are met. Nothing here measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from holdfast_lab.bench.figures import LEASES, Figures
from holdfast_lab.peers import FLOOR, IN_A_SHELL
from holdfast_lab.render.tables import Table, value_text

OURS = "holdfast"
MIB = 1 << 20

#: The budgets: times a peer's figure, seconds, and MiB.
DISCOVER, ADDRESS, SHELL = 1.2, 1.2, 2
FALLBACK = 0.6
PSS, RSS = 10, 14


@dataclass(frozen=True)
class Verdict:
    """One line of the budgets; ``met`` is None when something to compare with was not measured."""

    what: str
    measured: str
    budget: str
    met: bool | None

    @property
    def word(self) -> str:
        """For a table cell."""
        return {True: "met", False: "MISSED", None: "not known"}[self.met]


def clients_in(figures: Figures) -> list[str]:
    """Holdfast first, then the others in the order of ``versions``, without what was not measured at all."""
    measured = {*figures.starts, *figures.idle, *figures.fault}
    return sorted((name for name in figures.versions if name in measured), key=lambda name: name != OURS)


def main_table(figures: Figures) -> Table:
    """Every client's own figures."""
    heading = ["client", "version", "first DISCOVER, ms", "address, ms"]
    heading += [f"fault, {lease} s lease: s" for lease in LEASES]
    heading += ["PSS, MiB", "processor, ms/min", "wake-ups/min"]
    rows = [heading]
    for name in clients_in(figures):
        idle = figures.idle.get(name)
        rows.append([
            name, figures.versions[name], _scaled(figures.discover(name), 1000), _scaled(figures.address(name), 1000),
            *(_fault_cell(figures, name, lease) for lease in LEASES),
            _scaled(idle.pss if idle else None, 1 / MIB),
            _scaled(idle.processor if idle else None, 1000 * 60 / idle.window if idle else 1),
            _scaled(idle.wakeups if idle else None, 60 / idle.window if idle else 1),
        ])  # fmt: skip
    return rows


def ratio_table(figures: Figures) -> Table:
    """Holdfast's figure divided by each peer's: under 1 is better than the peer."""
    heading = ["Holdfast divided by", "first DISCOVER", "address"]
    heading += [f"fault, {lease} s lease" for lease in LEASES] + ["PSS"]
    rows = [heading]
    ours = figures.idle.get(OURS)
    for name in clients_in(figures):
        if name == OURS:
            continue
        idle = figures.idle.get(name)
        rows.append([
            name, _ratio(figures.discover(OURS), figures.discover(name)),
            _ratio(figures.address(OURS), figures.address(name)),
            *(_ratio(figures.fault_first(OURS, lease), figures.fault_first(name, lease)) for lease in LEASES),
            _ratio(ours.pss if ours else None, idle.pss if idle else None),
        ])  # fmt: skip
    return rows


def verdicts(figures: Figures) -> list[Verdict]:
    """Every budget of the design, with what was measured."""
    return [*_start_verdicts(figures), *_fault_verdicts(figures), *_idle_verdicts(figures), *_flood_verdicts(figures)]


def _start_verdicts(figures: Figures) -> list[Verdict]:
    def against(
        what: str, of: Callable[[str], float | None], peer: str, factor: float, budget: str, name: str = OURS
    ) -> Verdict:
        ours, theirs = of(name), of(peer)
        measured = _ratio(ours, theirs, peer)
        if of == figures.discover and theirs and (least := of(FLOOR.name)) is not None:
            measured += f" (floor: {_ratio(least, theirs)})"
        return Verdict(what, measured, budget, _at_most(ours, theirs, factor))

    return [
        against("exec to first DISCOVER", figures.discover, "dhclient", DISCOVER, f"at most {DISCOVER} x dhclient"),
        against("exec to address", figures.address, "networkd", ADDRESS, f"at most {ADDRESS} x networkd"),
        against("exec to address", figures.address, "pyroute2", 1 / 3, "a third of pyroute2's client"),
        against("exec to address, `holdfast run` in a shell", figures.address, "dhclient", SHELL,
                f"at most {SHELL} x dhclient", IN_A_SHELL.name),
    ]


def _fault_verdicts(figures: Figures) -> list[Verdict]:
    found = []
    for lease in LEASES:
        first, later = figures.fault_first(OURS, lease), figures.fault_later(OURS, lease)
        what = f"unanswered unicast to ACK, {lease} s lease"
        for when, took in (("first time", first), ("known deaf", later)):
            found.append(Verdict(
                f"{what}, {when}", _scaled(took, 1, "s"), f"under {FALLBACK} s", _at_most(took, FALLBACK, 1)
            ))
    return found


def _idle_verdicts(figures: Figures) -> list[Verdict]:
    ours = figures.idle.get(OURS)
    if ours is None:
        return [Verdict("PSS, bound and idle", "-", f"under {PSS} MiB", None)]
    return [
        Verdict("PSS, bound and idle", value_text(ours.pss / MIB, "MiB"), f"under {PSS} MiB", ours.pss < PSS * MIB),
        Verdict("resident, nothing shared", value_text(ours.rss / MIB, "MiB"), f"under {RSS} MiB",
                ours.rss < RSS * MIB),
        Verdict(
            "processor, bound and idle",
            f"{ours.wakeups} wake-up{'' if ours.wakeups == 1 else 's'}, "
            f"{value_text(ours.processor * 1000, 'ms')} in {ours.window:.0f} s",
            "no periodic wake-ups",
            ours.wakeups <= 1,
        ),
    ]  # fmt: skip


def _flood_verdicts(figures: Figures) -> list[Verdict]:
    flood = figures.flood
    if flood is None:
        return []
    what = f"{flood.rate:.0f} malformed packets/s, {flood.seconds:.0f} s"
    growth = flood.pss_peak - flood.pss_before
    renewed, on_time = "never renewed", False
    if flood.renewal is not None and flood.late is not None:
        renewed = f"ACK {_scaled(flood.renewal, 1000, 'ms')} after the REQUEST, {flood.late:+.1f} s from nominal T1"
        on_time = flood.renewal < 2.5 and flood.late < 2.5
    return [
        Verdict(what, "kept" if flood.kept else "lost", "lease kept", flood.kept),
        Verdict(what, renewed, "renewal on time", on_time),
        Verdict(what, f"{growth / MIB:+.2f} MiB", "memory flat", growth < MIB),
    ]


def left_out(figures: Figures) -> list[str]:
    """One line for each client that was left out, or whose starts failed."""
    missing = [f"{name} is not installed; left out" for name in figures.missing]
    return missing + [
        f"{name}: starts without an address: {starts.failed}, left out of its figures"
        for name, starts in figures.starts.items() if starts.failed
    ]


def verdict_table(found: Sequence[Verdict]) -> Table:
    """The budgets as a table."""
    return [["budget", "measured", "allowed", "verdict"]] + [
        [one.what, one.measured, one.budget, one.word] for one in found
    ]


def _fault_cell(figures: Figures, name: str, lease: int) -> str:
    """The first renewal, and for Holdfast, which learns, also the later ones."""
    first, later = figures.fault_first(name, lease), figures.fault_later(name, lease)
    if name == OURS and later is not None:
        return f"{_scaled(first, 1)}, then {_scaled(later, 1)}"
    return _scaled(first, 1)


def _scaled(value: float | None, factor: float, unit: str = "") -> str:
    return "-" if value is None else value_text(value * factor, unit)


def _ratio(ours: float | None, theirs: float | None, peer: str = "") -> str:
    if ours is None or not theirs:
        return "-"
    return value_text(ours / theirs, f"x {peer}" if peer else "")


def _at_most(value: float | None, reference: float | None, factor: float) -> bool | None:
    return None if value is None or reference is None else value <= factor * reference
