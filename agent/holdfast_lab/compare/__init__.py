"""Every client through every scenario."""
