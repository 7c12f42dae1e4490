"""Local times and spans of time as text."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

_UNITS = {
    "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60, "minutes": 60, "h": 3600, "hr": 3600,
    "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
}


def local_time(moment: object) -> str:
    """Unix seconds or ISO 8601 as local time, to the second. A value that is no time is returned as text."""
    try:
        seconds = _from_iso(moment) if isinstance(moment, str) else float(moment)  # type: ignore[arg-type]
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (ValueError, TypeError, OverflowError, OSError):
        return str(moment)


def unix_time(moment: str) -> float:
    """ISO 8601 as Unix seconds. Raises ValueError."""
    return _from_iso(moment)


def since(text: str, now: float) -> float:
    """A time as journalctl(1) takes it, as Unix seconds: ``now``, ``today``, ``yesterday``, ``2h``, ``-1h``, ``1d12h``,
    ``2 hours ago``, ``@1700000000``, ``08:00`` of today, or ISO 8601 (local time without a zone). Raises ValueError."""
    words = text.strip().lower()
    if words in ("now", "today", "yesterday"):
        midnight = _midnight(now)
        return {"now": now, "today": midnight, "yesterday": _midnight(midnight - 3600)}[words]
    span = _span(words.removeprefix("-").removesuffix("ago").strip())
    if span is not None:
        return max(0.0, now - span)
    try:
        if words.startswith("@"):
            return max(0.0, float(words[1:]))
        if re.fullmatch(r"\d\d?:\d\d(:\d\d)?", words):
            hours, minutes, seconds = (int(part) for part in f"{words}:0".split(":")[:3])
            return _midnight(now) + 3600 * hours + 60 * minutes + seconds
        return max(0.0, _from_iso(text.strip()))
    except (ValueError, OverflowError):
        raise ValueError(f'"{text}" is neither a time such as 2025-01-31T08:00, 08:00 or yesterday nor a span such as '
                         "30m, 2h or 1d") from None


def _span(text: str) -> float | None:
    """``1d12h``, ``2 hours`` as seconds; None for what is no span."""
    part = r"(\d+(?:\.\d+)?)\s*(" + "|".join(sorted(_UNITS, key=len, reverse=True)) + r")"
    if not re.fullmatch(rf"({part}\s*)+", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(part, text))


def _midnight(moment: float) -> float:
    """The beginning of the local day."""
    day = time.localtime(moment)
    return time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))


def _from_iso(text: str) -> float:
    # datetime reads the final Z only since Python 3.11, and fractions of any length too.
    moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    return moment.timestamp() if moment.tzinfo is None else moment.astimezone(timezone.utc).timestamp()
