"""The control socket's interface in Varlink's interface definition language: what ``varlinkctl introspect`` shows."""

NAME = "io.holdfast.Agent"

DESCRIPTION = """\
# The DHCP client of this machine. Where a method takes an interface and gets none, it means the one
# whose socket is used; Status then tells about all that this agent serves. The socket io.holdfast.Agent, of an agent
# that serves by pattern, is no interface's.
interface io.holdfast.Agent

# A point in time: UTC in ISO 8601, and seconds from now (negative: in the past).
type Instant (time: string, seconds: float)

# renewal is T1, rebinding is T2; without them the lease has no end.
type Lease (
  address: string,
  server: ?string,
  verified: bool,
  duration: ?float,
  started: Instant,
  renewal: ?Instant,
  rebinding: ?Instant,
  expiry: ?Instant
)

type Network (
  address: string,
  routes: []string,
  dns: []string,
  search: []string,
  mtu: ?int,
  ntp: []string,
  captive_portal: ?string,
  notices: []string
)

# state is RFC 2131's. online: there is a lease, and the interface is configured with it. yielded: the lease is
# kept, and nothing is put back on the interface. rival: who keeps undoing what is put there. hears_unicast is null
# until a renewal has shown it. An outcome is one line of the history. drops are counters by reason.
type Client (
  interface: string,
  state: string,
  present: bool,
  online: bool,
  yielded: bool,
  rival: ?string,
  lease: ?Lease,
  network: ?Network,
  hears_unicast: ?bool,
  round_trip: ?float,
  last_outcome: ?object,
  drops: [string]int
)

# Links that fit patterns are served when they appear.
method Status(interface: ?string) -> (version: string, pid: int, patterns: []string, clients: []Client)

# Renew by unicast first, Rebind by broadcast only. Both start over after a Release.
method Renew(interface: ?string) -> (outcome: object)
method Rebind(interface: ?string) -> (outcome: object)

# Give the lease back and remove its address.
method Release(interface: ?string) -> (outcome: object)

# Leave the interface to its administrator: the lease is kept and renewed, and nothing is put back. It stays so
# over restarts and boots, until back.
method Yield(interface: ?string, back: ?bool) -> ()

# Write neither lease nor history from now on, until the agent is started again: the disk is about to be
# copied. The lease stays in use, and is renewed.
method KeepNothing(interface: ?string) -> ()

# Answers when the interface has a lease and is configured with it, however long that takes; the caller hangs
# up when it has waited long enough. online is false, at once, for an interface that nobody named (it fits a
# pattern) and that has no carrier, unless insist.
method WaitOnline(interface: ?string, insist: ?bool) -> (online: bool)

# The last outcomes, oldest first. since is Unix seconds.
method History(interface: ?string, since: ?float, limit: ?int) -> (outcomes: []object)

error NoSuchInterface (interface: string)
error NotBound (interface: string)
error LinkMissing (interface: string)
error CannotRemember (interface: string, reason: string)
error NoOutcome (interface: string, seconds: float)
error HistoryUnreadable (interface: string, reason: string)
"""
