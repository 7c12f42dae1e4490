"""What was seen: packets, kernel events, probes, and the verdicts on them."""
