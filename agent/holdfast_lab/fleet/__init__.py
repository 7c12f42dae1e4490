"""A small fleet, watched by the programs that operators watch theirs with."""
