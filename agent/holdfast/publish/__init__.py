"""Name and time servers for the rest of the machine, and the program that publishes them."""
