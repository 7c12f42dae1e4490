"""Local times and spans of time as text."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


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
    """``30m``, ``2h``, ``1d12h``, or ISO 8601 (local time without a zone) as Unix seconds. Raises
    ValueError."""
    if re.fullmatch(r"(\d+(\.\d+)?(s|min|m|h|d|w))+", text):
        parts = re.findall(r"(\d+(?:\.\d+)?)(s|min|m|h|d|w)", text)
        return max(0.0, now - sum(float(number) * _UNITS[unit] for number, unit in parts))
    try:
        return max(0.0, _from_iso(text))
    except (ValueError, OverflowError):
        raise ValueError(f'"{text}" is neither a time such as 2025-01-31T08:00 nor a span such as 30m, 2h or 1d'
                         ) from None


def _from_iso(text: str) -> float:
    # datetime reads the final Z only since Python 3.11, and fractions of any length too.
    moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    return moment.timestamp() if moment.tzinfo is None else moment.astimezone(timezone.utc).timestamp()
