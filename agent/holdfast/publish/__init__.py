"""What the rest of the machine is told: name servers."""
