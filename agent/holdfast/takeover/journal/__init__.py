"""The record of what a take-over changed, on disk, so that it can be undone."""
