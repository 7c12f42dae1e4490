"""Draws a run as a picture: what is left of the lease over time, one row per client, and who asked whom when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, TOP, ROW, GAP, FOOT = 960, 70, 30, 104, 120, 74, 44
INK, SOFT, GRID = "#1f2933", "#5f6b7a", "#e4e7eb"
LEASE, LEASE_FILL = "#0b7285", "#c5eef4"
ALARM, ALARM_FILL, ASK, CALM = "#c92a2a", "#ffc9c9", "#e67700", "#2b8a3e"
FONT = "font-family='system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class Row:
    """One client. Instants are seconds since its first ACK; ``acks`` begins with 0. ``unicasts`` went unanswered."""

    title: str
    subtitle: str
    acks: Sequence[float]
    unicasts: Sequence[float]
    broadcasts: Sequence[float]

    def waits(self, until: float) -> list[tuple[float, float]]:
        """From each first unanswered request to the ACK that ended the wait (or to ``until``)."""
        found = []
        bounds = [*self.acks, until]
        for start, end in zip(bounds, bounds[1:]):  # noqa: B905, RUF007 - pairs of one list
            first = next((at for at in self.unicasts if start < at <= end), None)
            if first is not None:
                found.append((first, end))
        return found


def modelled_stock(t1: float, t2: float, until: float) -> Row:
    """RFC 2131 section 4.4.5: unicast at T1, the first broadcast at T2. A lease this short has no retry between."""
    acks, unicasts, broadcasts = [0.0], [], []
    while acks[-1] + t1 < until:
        unicasts.append(acks[-1] + t1)
        if acks[-1] + t2 > until:
            break
        broadcasts.append(acks[-1] + t2)
        acks.append(acks[-1] + t2)
    return Row(
        "A stock client", "modelled: unicast at T1, broadcast at T2, as RFC 2131 says", acks, unicasts, broadcasts
    )


class _Plot:
    """The geometry of one row, and its parts."""

    def __init__(self, row: Row, top: float, lease: float, until: float) -> None:
        self.row, self.top, self.bottom = row, top, top + ROW
        self.lease, self.until = lease, until

    def x(self, seconds: float) -> float:
        """Seconds since the first ACK to pixels."""
        return round(LEFT + seconds / self.until * (WIDTH - LEFT - RIGHT), 1)

    def y(self, left: float) -> float:
        """Seconds of lease left to pixels."""
        return round(self.bottom - left / self.lease * ROW, 1)

    def left_at(self, seconds: float) -> float:
        """Seconds of lease left just before an ACK at that instant would refill it."""
        return max(0.0, self.lease - (seconds - self._before(seconds)))

    def _before(self, seconds: float) -> float:
        """The last ACK before that instant."""
        return max(at for at in self.row.acks if at < seconds or at == 0)

    def parts(self) -> list[str]:
        """Everything, from the back to the front."""
        return [*self._frame(), *self._bands(), *self._curve(), *self._marks()]

    def _frame(self) -> list[str]:
        title = self.row.title
        parts = [
            f"<text x='{LEFT - 40}' y='{self.top - 26}' font-size='15' fill='{INK}'>"
            f"<tspan font-weight='600'>{escape(title)}</tspan>"
            f"<tspan dx='10' font-size='12.5' fill='{SOFT}'>{escape(self.row.subtitle)}</tspan></text>"
        ]
        for left in (0, self.lease / 2, self.lease):
            y = self.y(left)
            parts.append(f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y}' y2='{y}' stroke='{GRID}'/>")
            parts.append(text(LEFT - 8, y + 4, f"{left:g} s", size=11, fill=SOFT, anchor="end"))
        step = 5 if self.until <= 60 else 10
        for second in range(0, int(self.until) + 1, step):
            parts.append(text(self.x(second), self.bottom + 17, f"{second} s", size=11, fill=SOFT, anchor="middle"))
        return parts

    def _bands(self) -> list[str]:
        parts = []
        for start, end in self.row.waits(self.until):
            x, width = self.x(start), max(3.0, self.x(end) - self.x(start))
            parts.append(
                f"<rect x='{x}' y='{self.top}' width='{width:.1f}' height='{ROW}' "
                f"fill='{ALARM_FILL}' fill-opacity='0.7'/>"
            )
            seconds = end - start
            words = f"{seconds:.2g} s" if seconds < 1.95 else f"{seconds:.0f} s"
            if width > 120:
                words = f"unanswered for {words}" if end < self.until else "unanswered again"
            parts.append(text(x + width / 2, self.top - 7, words, size=12.5, fill=ALARM, weight=600, anchor="middle"))
        return parts

    def _curve(self) -> list[str]:
        points = []
        for number, ack in enumerate(at for at in self.row.acks if at <= self.until):
            later = self.row.acks[number + 1] if number + 1 < len(self.row.acks) else ack + self.lease
            end = min(self.until, later)
            points.append((self.x(ack), self.y(self.lease)))
            if end > ack + self.lease:
                points.append((self.x(ack + self.lease), self.y(0)))
            points.append((self.x(end), self.y(max(0.0, self.lease - (end - ack)))))
        line = " ".join(f"{x},{y}" for x, y in points)
        area = f"{points[0][0]},{self.bottom} {line} {points[-1][0]},{self.bottom}"
        return [
            f"<polygon points='{area}' fill='{LEASE_FILL}' fill-opacity='0.6'/>",
            f"<polyline points='{line}' fill='none' stroke='{LEASE}' stroke-width='2.2' stroke-linejoin='round'/>",
        ]

    def _marks(self) -> list[str]:
        parts = []
        for at in (at for at in self.row.unicasts if at <= self.until):
            parts.append(cross(self.x(at), self.y(self.left_at(at))))
        for at in (at for at in self.row.broadcasts if at <= self.until):
            parts.append(triangle(self.x(at), self.y(self.left_at(at))))
        for at in (at for at in self.row.acks if at <= self.until):
            parts.append(dot(self.x(at), self.y(self.lease)))
            if at > 0:
                low = self.left_at(at)
                if low > 0:
                    parts.append(
                        text(
                            self.x(at) + 9,
                            min(self.y(low) + 14, self.bottom - 6),
                            f"{low:.0f} s left",
                            fill=LEASE,
                            weight=600,
                        )
                    )
                else:
                    words = f"the lease ended {at - self._before(at) - self.lease:.1f} s before"
                    parts.append(text(self.x(at) - 9, self.bottom - 8, words, fill=ALARM, weight=600, anchor="end"))
        return parts


def draw(title: str, rows: Sequence[Row], *, lease: float, until: float, note: str) -> str:
    """The SVG document: seconds to the right, seconds of lease left upwards."""
    height = TOP + len(rows) * (ROW + GAP) + FOOT - 20
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' role='img' {FONT}>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{WIDTH}' height='{height}' rx='10' fill='#ffffff'/>",
        text(LEFT - 40, 36, title, size=19, weight=600),
        text(LEFT - 40, 59, note, size=13, fill=SOFT),
    ]
    for number, row in enumerate(rows):
        parts += _Plot(row, TOP + 26 + number * (ROW + GAP), lease, until).parts()
    return "\n".join([*parts, *legend(height - 22), "</svg>"]) + "\n"


def legend(y: float) -> list[str]:
    """What the signs mean."""
    entries = (
        (cross, "REQUEST by unicast: nobody answers"),
        (triangle, "REQUEST by broadcast"),
        (dot, "ACK: the lease is whole again"),
    )
    parts, x = [], float(LEFT - 32)
    for sign, words in entries:
        parts += [sign(x, y), text(x + 13, y + 4.5, words, size=12.5, fill=SOFT)]
        x += 44 + 6.5 * len(words)
    parts.append(f"<rect x='{x - 8}' y='{y - 6}' width='16' height='12' fill='{LEASE_FILL}' stroke='{LEASE}'/>")
    return [*parts, text(x + 14, y + 4.5, "left of the lease", size=12.5, fill=SOFT)]


def text(
    x: float, y: float, words: str, *, size: float = 12, fill: str = INK, weight: int = 400, anchor: str = "start"
) -> str:
    """One line of text."""
    style = f"font-size='{size:g}' fill='{fill}' font-weight='{weight}' text-anchor='{anchor}'"
    return f"<text x='{x:g}' y='{y:g}' {style}>{escape(words)}</text>"


def cross(x: float, y: float) -> str:
    """A request that nobody answers."""
    path = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
    return (
        f"<circle cx='{x}' cy='{y}' r='7.5' fill='#ffffff' stroke='{ALARM}' stroke-width='1.4'/>"
        f"<path d='{path}' stroke='{ALARM}' stroke-width='2' fill='none'/>"
    )


def triangle(x: float, y: float) -> str:
    """A request to everybody."""
    return f"<path d='M{x:.1f} {y - 8:.1f}l7.5 13h-15z' fill='{ASK}' stroke='#ffffff' stroke-width='1.2'/>"


def dot(x: float, y: float) -> str:
    """An ACK."""
    return f"<circle cx='{x}' cy='{y}' r='5.5' fill='{CALM}' stroke='#ffffff' stroke-width='1.2'/>"
