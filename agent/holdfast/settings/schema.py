"""Every key of the configuration: its check and its meaning. The defaults are in ``model.py``, those of the protocol in
``core.config``.

``holdfast config show`` prints the meanings as comments, and a test compares the names with the model.
"""

from __future__ import annotations

from holdfast.settings import checks
from holdfast.settings.checks import Check
from holdfast.wire.record import NamedTuple


class Key(NamedTuple):
    """One key: how its value is checked, and what it means."""

    check: Check
    meaning: str


#: ``[agent]``: the whole process.
AGENT: dict[str, Key] = {
    "state_dir": Key(checks.folder, "leases and histories; STATE_DIRECTORY or /var/lib/holdfast"),
    "runtime_dir": Key(checks.folder, "control sockets; RUNTIME_DIRECTORY or /run/holdfast"),
    "serve": Key(checks.link_patterns,
                 'interfaces to serve in addition to the named ones, now and when they appear: a pattern such as "en*" '
                 "matches network cards, also virtual ones, a name without a wildcard any Ethernet link"),
    "hooks_dir": Key(checks.folder,
                     "folder of programs that run after a change, with JSON on stdin; /etc/holdfast/hooks.d"),
    "metrics_dir": Key(checks.folder, "folder of a Prometheus textfile collector; one file per interface"),
    "control_group": Key(checks.group, "group whose members may use the control sockets, as root may"),
    "log": Key(checks.choice("auto", "journal", "stderr"),
               'where log lines go; "auto": the journal when stderr is connected to it, else stderr'),
    "log_level": Key(checks.choice("info", "debug"), '"debug" also writes every change of state to stderr'),
}

#: ``[guard]``: the guard beside another DHCP client.
GUARD: dict[str, Key] = {
    "interfaces": Key(checks.link_patterns,
                      "interfaces to guard, now and when they appear: names and patterns as in [agent] serve; empty: "
                      "every Ethernet interface that Holdfast does not serve"),
    "rebroadcast": Key(checks.boolean, "repeat by broadcast, once and byte for byte, a unicast renewal that nobody "
                                       "answers"),
    "nflog_group": Key(checks.integer(0, 0xFFFF),
                       "the NFLOG group by which renewals are seen before ARP; no other program may use it"),
    "metrics_dir": Key(checks.folder, "folder of a Prometheus textfile collector; one file per guarded interface"),
}

#: ``[defaults]`` and ``[interfaces.NAME]``.
INTERFACE: dict[str, Key] = {
    "client_id": Key(checks.client_id,
                     'option 61: "mac", "duid" (RFC 4361, from the machine-id), "networkd" (as systemd-networkd '
                     'makes it by default), "networkd:IAID" (with an IAID of its own, a number; either with '
                     '"/link-layer" for DUIDType=link-layer), "none", or hex '
                     'with its type byte; unset: the one stored with the lease, else mac'),
    "hostname": Key(checks.hostname,
                    'option 12, sent to the server; "@system" is this machine\'s name, when it has one'),
    "vendor_class": Key(checks.class_text, "option 60"),
    "user_class": Key(checks.class_texts, "option 77: a text or a list (RFC 3004)"),
    "request": Key(checks.option_codes, "options to request in addition to the usual ones, by number or name"),
    "fqdn": Key(checks.hostname,
                'option 81 (RFC 4702): the full name that the server is to enter into DNS; "@system" is this '
                "machine's name"),
    "send_options": Key(checks.sent_options,
                        'options to send in addition, such as ["224=site A", "43=hex:0104"]: a number or name, and '
                        "a text or bytes in hex"),
    "allow_servers": Key(checks.servers,
                         'servers, by their identifiers (option 54) or networks such as "192.0.2.0/24", that may '
                         "give a lease; empty: all"),
    "deny_servers": Key(checks.servers, "servers that may not give a lease; their answers are ignored and counted"),
    "require": Key(checks.option_codes, "options, by number or name, without which no OFFER is taken"),
    "lease_time_limit": Key(checks.integer(10, 0xFFFFFFFE),
                            "seconds that a lease is used at most, and renewed accordingly, whatever the server says; "
                            "unset: as it says"),
    "default_lease_time": Key(checks.integer(10, 0xFFFFFFFF),
                              "seconds of a lease from a server that says none (option 51); 4294967295 is for ever; "
                              "unset: no such OFFER is taken"),
    "fallback_address": Key(checks.interface_address,
                            'a static address such as "192.168.1.10/24" that is used when there has been no lease for '
                            "fallback_after, until there is one; unset: none"),
    "fallback_gateway": Key(checks.address, "the default route's gateway while fallback_address is used"),
    "fallback_after": Key(checks.seconds(5, 86400), "time without a lease until fallback_address is used"),
    "metric": Key(checks.integer(0, 0xFFFFFFFF),
                  "metric of the routes; the lowest wins; unset: 100 for the first interface, 101 for the next"),
    "subnet_metric": Key(checks.integer(0, 0xFFFFFFFF), "metric of the subnet's own route; unset: that of the others"),
    "route_table": Key(checks.integer(1, 0xFFFFFFFF),
                       "routing table of the routes and of the subnet's route; unset: main, or that of the link's VRF"),
    "router_routes": Key(checks.router_routes,
                         "routes of this machine's own by the lease's router, such as \"192.0.2.0/24 table 100 metric "
                         '50"; table and metric may be left out'),
    "route_metrics": Key(checks.route_metrics,
                         'what the lease\'s routes are added with: "mtu 1400", "initcwnd 30", "initrwnd 30" and '
                         '"quickack 1"'),
    "address_label": Key(checks.address_label, "label of the address (ip-address(8)), such as \"eth0:dhcp\""),
    "use_routes": Key(checks.boolean, "install the server's routes (options 121, 249, 33, 3)"),
    "use_dns": Key(checks.boolean, "use the server's name servers and search domains"),
    "dns": Key(checks.name_servers,
               "IPv4 name servers of this machine's own, before the server's, while there is a lease"),
    "search": Key(checks.search_domains,
                  "search domains of this machine's own, before the server's of option 119 and instead of option 15"),
    "use_mtu": Key(checks.boolean, "set the server's MTU (option 26)"),
    "use_domains": Key(checks.boolean, "use the server's search domains (options 119, 15), where use_dns is true"),
    "use_domain_name": Key(checks.boolean, "search the domain of option 15 also where option 119 names others"),
    "dotted_search": Key(checks.boolean, "write a dot behind the domains of option 119, as dhclient does, where "
                                         "use_domain_name is true"),
    "route_domains": Key(checks.boolean,
                         "use the search domains to choose the server that is asked (systemd-resolved), and search in "
                         "none of them"),
    "routes_to_dns": Key(checks.boolean, "add a route to each of the server's name servers, as systemd-networkd does"),
    "routes_to_ntp": Key(checks.boolean, "add a route to each of the server's time servers"),
    "option_edits": Key(checks.option_edits,
                        "changes to the options of a reply before they are used, as dhclient.conf has them, with the "
                        'number and bytes in hex: "supersede 6 0a000001", likewise "prepend", "append" and "default"'),
    "use_ntp": Key(checks.boolean, "use the server's time servers (option 42)"),
    "use_gateway": Key(checks.boolean, "install the server's default route (options 3, 121), where use_routes is true"),
    "acd": Key(checks.choice("optimistic", "strict", "off"),
               'address conflicts: "optimistic" uses the address while it is probed, "strict" probes '
               'first (RFC 5227), "off" never probes'),
    "nak": Key(checks.choice("hold", "halt"),
               'NAK from our own server: "hold" keeps the valid address and asks for a new lease, "halt" '
               "removes it (RFC 2131 figure 5)"),
    "on_expiry": Key(checks.choice("remove", "hold"),
                     'when the lease ends without a renewal: "remove" its address (RFC 2131 4.4.5), or "hold" it '
                     "while the gateway answers ARP and no other machine claims it"),
    "ipv6_only": Key(checks.boolean,
                     "offer to use no IPv4, and use none for as long as the server says "
                     "(RFC 8925, option 108); for machines that work with IPv6 only"),
    "rapid_commit": Key(checks.boolean, "two messages instead of four if the server supports it (RFC 4039)"),
    "broadcast_flag": Key(checks.boolean, "request replies by broadcast"),
    "anonymize": Key(checks.boolean,
                     "RFC 7844: no host name, no class, a client-id of the present MAC, whatever is set"),
    "start_delay": Key(checks.boolean,
                       "wait 1 to 10 s before the first DISCOVER (RFC 2131 4.4.1: a SHOULD, for many machines that "
                       "are powered on together); off, because a virtual machine's boot waits for its "
                       "address, hosts start guests one after the other, and retransmissions are jittered"),
    "discover_ceiling": Key(checks.seconds(2, 3600), "longest gap between two DISCOVERs, in seconds"),
    "wait_for": Key(checks.choice("", "networkmanager"),
                    'the manager that sets the link up before it is served, for 10 s at most: "networkmanager", or '
                    '"" for none; what it finds configured before, it leaves alone'),
}
