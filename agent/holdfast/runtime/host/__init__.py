"""What runs around the agent: systemd, hooks, the generation identifier, the kernel's hotplug events."""
