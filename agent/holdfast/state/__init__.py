"""What is on disk: the lease file, the identity, the markers, and how files are written.

The names of the files of one interface, each ``<folder>/<ifname><suffix>``:
"""

#: The lease (lease_store.py), and the last file of that name that could not be used.
LEASE, BAD_LEASE = ".lease.json", ".lease.json.bad"
#: The client-id that the lease was won with, which outlives its file (lease_store.py).
CLIENT_ID = ".client-id"
#: One JSON line for each outcome (observe/outcomes.py); what was written before it has ".1" behind it.
HISTORY = ".outcomes.jsonl"
#: While it is there, the interface is its administrator's (markers.py).
YIELD = ".yield"
#: An address of ours that is somebody else's on this link (markers.py).
FOREIGN = ".foreign"
#: The metric that was chosen for it (route_metrics.py).
METRIC = ".metric"
