"""Namespaces, links, a scripted server, and the stage that a scenario plays on."""
