"""One thread, one selector: the loop, its timers, the signals."""
