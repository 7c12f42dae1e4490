"""What a take-over changed, on disk, so that it can be taken back."""
