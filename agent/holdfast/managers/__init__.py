"""What other programs' configuration says."""
