"""One fixed MESSAGE_ID and priority for each kind of journal entry (systemd.journal-fields(7)).

The identifiers are random and final: catalogues, alerts and scripts find entries by them, so a
kind that is dropped keeps its row here. Priorities are syslog's: 3 error, 4 warning, 5 notice,
6 info, 7 debug.
"""

from __future__ import annotations

from holdfast.wire.record import NamedTuple


class Kind(NamedTuple):
    """A kind of journal entry."""

    message_id: str
    priority: int


LINE = Kind("0040f710b275e3423e86449a0a8bbdea", 6)
TRANSITION = Kind("2668c83e70334e4f5a33012a01bb1441", 7)
DROPPED = Kind("a6a56dadd9654ea12a51f51ef26cd795", 4)
MALFORMED = Kind("1fe41a95c120dcf4630c73909348394b", 4)
NOT_RECORDED = Kind("74b3e0a9a33e72896d22903bedee3856", 4)

#: By core.outcome.Result.
RESULTS: dict[str, Kind] = {
    "acquired": Kind("cb5d646d4e2bb8bb5d4a9796991f846f", 6),
    "renewed": Kind("033d3d225583516f7bf7b2b9205d29f9", 6),
    "moved": Kind("cf5a52ad7dbcee12fd93734a78eb5449", 5),
    "kept": Kind("12af8c81c9eb0a5ee22af1579839c08a", 4),
    "refused": Kind("d5dfdf1b929514ff0a7b0f79cfe220df", 4),
    "expired": Kind("a3e962d72e6e81194037e126b1eb51c4", 3),
    "held": Kind("8c2b10d7c72645e0afc4f92ccefdd418", 4),
    "ipv6-only": Kind("7502d42cd6fe4819957d92d652c0347e", 5),
    "conflict": Kind("66a624b84c7b91d4b35b561b1c9b9bb7", 3),
    "released": Kind("ac9e336669cec37aeaf8ef86cf0b6690", 5),
    "stopped": Kind("6bf57a53916e66fbfd398cd3cc2d857d", 6),
}

#: By core.actions.NoticeCode.
NOTICES: dict[str, Kind] = {
    "lease-clamped": Kind("252eee5a1f7368377dd61fcd4ab87e89", 4),
    "times-corrected": Kind("9231081427ca6f50a112e2095cf10f91", 5),
    "server-changed": Kind("64b91018ecf66c501ae4f139e46c4055", 5),
    "no-offer": Kind("5d1b7c0e4a6f4c1d9e02b7a81f63c5d4", 4),
    "unicast-unanswered": Kind("d1238b95dccd3e192d199a450c8b2ea2", 5),
    "foreign-nak": Kind("b0a5fe706e9a5365fbb2a4cd32ec83f6", 4),
    "send-failed": Kind("3c94475e1944c7e93a5187220e79ca49", 4),
    "apply-failed": Kind("9e79722f9d7f31f16ddd5bfafe7d82dc", 3),
    "address-restored": Kind("728fe3de29c1ea245eda48abbb3dc4e3", 4),
    "conflict-ignored": Kind("34ebbb0e7e867a7000e22abc93a665a9", 4),
    "offer-reserved": Kind("6647fc890d61b446304656d6dcef63ca", 5),
    "time-jumped": Kind("e53f6acf30438b65031c177336af0742", 5),
    "fight": Kind("2eb5e89ff72d411f934597dedd0000cc", 3),
    "auto-configure": Kind("90665b829bc1d3565e7584bcb9bbfb19", 5),
    "gateway-changed": Kind("8ee10562412249d18839046e19cd05b7", 5),
    "other-network": Kind("6253c88c0cad4bf28d909235b4167689", 4),
    "restored": Kind("3141dc840fcc4188a895318ca42ab6de", 5),
}
