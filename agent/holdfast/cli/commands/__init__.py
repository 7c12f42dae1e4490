"""One command per file; ``holdfast.cli`` imports the one that is called."""
