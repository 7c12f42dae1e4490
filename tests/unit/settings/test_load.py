"""Reading, checking and merging configuration files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast import settings as room
from holdfast.settings import Settings, SettingsError
from holdfast.settings.checks import duration, ifname_problem
from holdfast.settings.load import SIZE_LIMIT, load
from holdfast.settings.model import GuardSettings, InterfaceSettings
from holdfast.settings.schema import AGENT, GUARD, INTERFACE


def _file(tmp_path: Path, text: str, name: str = "holdfast.toml") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def _problems(tmp_path: Path, text: str) -> list[str]:
    path = _file(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load([path])
    assert all(problem.startswith(path + ": ") for problem in caught.value.problems)
    return [problem.removeprefix(path + ": ") for problem in caught.value.problems]


def test_without_files_there_are_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "config_files", lambda config: ())
    assert room.read() == Settings() == load([])
    assert Settings().interface("eth0") == InterfaceSettings()


@pytest.mark.parametrize("text", ["", "# nothing\n\n#no\n", "[agent]\n# a\n[defaults]\n[guard]\n"])
def test_a_file_of_comments_is_read_without_the_parser(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _file(tmp_path, text)
    wanted = load([path])
    monkeypatch.setitem(sys.modules, "holdfast.settings.load", None)  # importing it fails
    assert room.read(path) == wanted


@pytest.mark.parametrize("text", [
    "[agent]\n[agent]\n", "[agnt]\n", "# \a\n", "agent", "[interfaces.eth0]\n", "[guard]\n[x\n", " # blank\n\t\n",
])
def test_what_says_something_or_is_wrong_is_parsed(tmp_path: Path, text: str) -> None:
    path = _file(tmp_path, text)

    def told(read: Callable[[], Settings]) -> object:
        try:
            return read()
        except SettingsError as error:
            return error.problems

    assert told(lambda: room.read(path)) == told(lambda: load([path]))


def test_the_start_delay_is_off_unless_configured(tmp_path: Path) -> None:  # rule 42
    assert InterfaceSettings().start_delay is False
    loaded = load([_file(tmp_path, "[defaults]\nstart_delay = true\n")])
    assert loaded.interface("eth0").start_delay is True
    assert "RFC 2131 4.4.1" in INTERFACE["start_delay"].meaning


def test_every_key_of_the_schema_is_a_field_of_the_model() -> None:
    assert tuple(INTERFACE) == InterfaceSettings._fields
    assert tuple(GUARD) == GuardSettings._fields
    assert tuple(AGENT) == Settings._fields[:len(AGENT)]


def test_every_default_passes_its_own_check() -> None:
    for known, model in ((INTERFACE, InterfaceSettings()), (GUARD, GuardSettings()), (AGENT, Settings())):
        for name, key in known.items():
            value = getattr(model, name)
            if value is not None:
                assert key.check(list(value) if isinstance(value, tuple) else value) == value


def test_everything_can_be_set(tmp_path: Path) -> None:
    loaded = load([_file(tmp_path, """
        [agent]
        state_dir = "/srv/state"
        runtime_dir = "/srv/run"
        serve = ["en*", "eth[0-9]", "en*", "br0"]
        hooks_dir = "/srv/hooks"
        metrics_dir = "/srv/metrics"
        control_group = "adm"
        log = "journal"
        log_level = "debug"
        [guard]
        interfaces = ["en*", "eth0"]
        rebroadcast = true
        nflog_group = 7
        metrics_dir = "/srv/guard"
        [defaults]
        metric = 50
        [interfaces.eth0]
        client_id = "01:52:54:00:12:34:56"
        hostname = "host-1.example"
        vendor_class = "vm"
        user_class = ["one", "two"]
        request = [43, "ntp-servers", "TFTP-server_name", 43]
        use_routes = false
        use_dns = false
        use_mtu = false
        acd = "strict"
        nak = "halt"
        rapid_commit = true
        broadcast_flag = true
        anonymize = true
        start_delay = true
        discover_ceiling = 120
    """)])
    assert loaded.serve == ("en*", "eth[0-9]", "br0")
    assert loaded.control_group == "adm"
    assert loaded.guard == GuardSettings(("en*", "eth0"), True, 7, "/srv/guard")
    assert loaded.log_level == "debug"
    assert loaded.interface("eth1") == InterfaceSettings(metric=50)
    assert loaded.interface("eth0") == InterfaceSettings(
        client_id="01525400123456", hostname="host-1.example", vendor_class="vm", user_class=("one", "two"),
        request=(43, 42, 66), metric=50, use_routes=False, use_dns=False, use_mtu=False, acd="strict", nak="halt",
        rapid_commit=True, broadcast_flag=True, anonymize=True, start_delay=True, discover_ceiling=120.0,
    )
    assert isinstance(loaded.interface("eth0").discover_ceiling, float)


#: How the error for a duration ends.
AS_TEXT = 'duration such as "90s" or "1m"'


@pytest.mark.parametrize(("text", "key", "wanted"), [
    ("control_group = 42", "control_group", "42"),
    ("control_group = 'adm'", "control_group", "adm"),
])
def test_a_group_is_a_name_or_a_number(tmp_path: Path, text: str, key: str, wanted: str) -> None:
    assert getattr(load([_file(tmp_path, "[agent]\n" + text)]), key) == wanted


@pytest.mark.parametrize("word", ["mac", "duid", "none", "networkd", "networkd:0", "networkd:4294967295",
                                  "networkd/link-layer", "networkd:7/link-layer"])
def test_client_ids_by_word(tmp_path: Path, word: str) -> None:
    assert load([_file(tmp_path, f'[defaults]\nclient_id = "{word}"')]).defaults.client_id == word


def test_later_files_override_key_by_key_and_origins_say_which(tmp_path: Path) -> None:
    first = _file(tmp_path, '[defaults]\nacd = "off"\nnak = "halt"\n[interfaces.eth0]\nmetric = 5\n', "a.toml")
    second = _file(tmp_path, '[defaults]\nacd = "strict"\n[interfaces.eth0]\nuse_dns = false\n', "b.toml")
    loaded = load([first, second])
    assert loaded.files == (first, second)
    assert loaded.interface("eth0") == InterfaceSettings(acd="strict", nak="halt", metric=5, use_dns=False)
    assert loaded.origins == {"defaults.acd": second, "defaults.nak": first,
                              "interfaces.eth0.metric": first, "interfaces.eth0.use_dns": second}


@pytest.mark.parametrize(("text", "wanted"), [
    ('[defaults]\nacd = "maybe"', 'key defaults.acd: "maybe" is not allowed; use "optimistic", "strict" or "off"'),
    ("[defaults]\nacd = 1", 'key defaults.acd: 1 is a number; use "optimistic", "strict" or "off"'),
    ("[defaults]\nhostnme = 1", 'key defaults.hostnme: unknown key; did you mean "hostname"?'),
    ("[defaults]\nstate_dir = '/x'", "key defaults.state_dir: unknown key; it belongs in [agent]"),
    ("[agent]\nmetric = 1", "key agent.metric: unknown key; it belongs in [defaults] or [interfaces.NAME]"),
    ("[interfaces.eth0.100]\nmetric = 1", 'key interfaces.eth0.100: a name with a dot is to be quoted: use '
     '[interfaces."eth0.100"]'),
    ('[agent]\nserve = ["en["]', 'key agent.serve: "en[" opens a bracket and does not close it; use one such as '
     '"enp[0-9]s*"'),
    ('[defaults]\ndiscover_ceiling = "1 fortnight"', 'key defaults.discover_ceiling: "1 fortnight" is no duration; use '
     'a number of seconds, or one such as 90s, 1m30s or 2h'),
    ('[defaults]\ndeny_servers = "192.0.2.300"', 'key defaults.deny_servers: "192.0.2.300" is neither an IPv4 address '
     'nor a network such as "192.0.2.0/24"'),
    ('[defaults]\nrouter_routes = ["192.0.2.1/24"]',
     'key defaults.router_routes: "192.0.2.1/24" is no route; use one such as "192.0.2.0/24 table 100 metric 50"'),
    ('[defaults]\nrouter_routes = ["192.0.2.0/24 table 1 table 2"]',
     'key defaults.router_routes: "192.0.2.0/24 table 1 table 2" is no route; use one such as "192.0.2.0/24 table 100 '
     'metric 50"'),
    ('[defaults]\nrouter_routes = ["here"]',
     'key defaults.router_routes: "here" is no route; use one such as "192.0.2.0/24 table 100 metric 50"'),
    ('[defaults]\nroute_metrics = ["mtu 0"]',
     'key defaults.route_metrics: "mtu 0" is nothing that a route has; use a list such as ["mtu 1400", "initcwnd 30"], '
     "with mtu, initcwnd, initrwnd or quickack"),
    ('[defaults]\naddress_label = "a b"',
     'key defaults.address_label: "a b" is no label; use up to 15 letters, digits and _.:@-'),
    ('[defaults]\noption_edits = ["prepend 6"]',
     'key defaults.option_edits: "prepend 6" is no change to an option; write it as "supersede 6 0a000001"'),
    ('[defaults]\nsend_options = ["53=x"]', "key defaults.send_options: option 53 is the protocol's own and cannot be "
     "set; use another"),
    ('[defaults]\nsend_options = ["224"]', 'key defaults.send_options: "224" is no option to send; use one such as '
     '"224=site A" or "43=hex:0104"'),
    ('[defaults]\nsend_options = ["43=hex:1"]', 'key defaults.send_options: "43=hex:1" has no bytes in hex; use one '
     'such as "43=hex:0104"'),
    ('[defaults]\nfallback_address = "192.0.2.1"', 'key defaults.fallback_address: "192.0.2.1" is no address with its '
     'prefix; use one such as "192.168.1.10/24"'),
    ('[defaults]\nfallback_gateway = "x"', 'key defaults.fallback_gateway: "x" is not an IPv4 address'),
    ("[interface.eth0]\n", 'key interface: unknown key; did you mean "interfaces"?'),
    ("xyzzy = 1", "key xyzzy: unknown key; known are agent, guard, defaults, interfaces"),
    ("interfaces = 1", "key interfaces: 1 is not a table; use [interfaces.NAME]"),
    ("[interfaces]\neth0 = 1", "key interfaces.eth0: 1 is not a table; use [interfaces.eth0]"),
    ('[interfaces."a b"]', "key interfaces.a b: an interface's name has no slash, colon or blank, "
                           "and is not . or .."),
    ('[interfaces.""]', "key interfaces.: an interface's name has 1 to 15 bytes"),
    ("[defaults]\nmetric = true", "key defaults.metric: true is a boolean; use a whole number from 0 to 4294967295"),
    ("[defaults]\nmetric = -1", "key defaults.metric: -1 is out of range; use a whole number from 0 to 4294967295"),
    ("[defaults]\nuse_dns = 'no'", 'key defaults.use_dns: "no" is a text; use true or false'),
    ("[defaults]\nuse_dns = 2001-01-01", "key defaults.use_dns: 2001-01-01 is a date or time; use true or false"),
    ("[defaults]\nuse_dns = {}", "key defaults.use_dns: {} is a table; use true or false"),
    ("[defaults]\ndiscover_ceiling = nan",
     "key defaults.discover_ceiling: nan is out of range; use a number of seconds from 2 to 3600, or a " + AS_TEXT),
    ("[defaults]\ndiscover_ceiling = true",
     "key defaults.discover_ceiling: true is a boolean; use a number of seconds from 2 to 3600, or a " + AS_TEXT),
    ("[agent]\nstate_dir = 'x'", 'key agent.state_dir: "x" is not an absolute path; start it with /'),
    ("[agent]\nserve = 'en*'", 'key agent.serve: "en*" is a text; use a list of patterns such as ["en*", "eth*"]'),
    ("[agent]\nserve = [1]", 'key agent.serve: 1 is a number; use patterns such as "en*"'),
    ("[agent]\nserve = ['e n*']",
     'key agent.serve: "e n*" cannot fit an interface\'s name; use a pattern such as "en*"'),
    ("[agent]\nserve = ['']", 'key agent.serve: "" cannot fit an interface\'s name; use a pattern such as "en*"'),
    ("[agent]\nserve = ['a-name-of-16-byt']",
     'key agent.serve: "a-name-of-16-byt" is no pattern, and an interface\'s name has 1 to 15 bytes'),
    (f"[agent]\nserve = {['en*'] * 17}", "key agent.serve: 17 patterns are too many; use 16 or fewer"),
    ("[agent]\ncontrol_group = 'a b'", 'key agent.control_group: "a b" is not the name of a group'),
    ("[defaults]\nvendor_class = ''", 'key defaults.vendor_class: "" has 0 bytes; use 1 to 255'),
    ("[defaults]\nrequest = [300]", "key defaults.request: 300 is not an option; use numbers from 1 to 254"),
    ("[defaults]\nrequest = [true]", "key defaults.request: true is a boolean; use option numbers or names"),
    ("[defaults]\nrequest = ['ntp-server']",
     'key defaults.request: "ntp-server" is not the name of an option; did you mean "ntp-servers"?; '
     "numbers from 1 to 254 are allowed too"),
    ("[defaults]\nclient_id = 'maq'",
     'key defaults.client_id: "maq" is not allowed; use "mac", "duid", "networkd", "networkd:IAID", "none", or option '
     '61 in hex with its type byte, such as "01:52:54:00:12:34:56" (2 to 255 bytes)'),
    ("[defaults]\nclient_id = 'networkd:4294967296'",
     'key defaults.client_id: "networkd:4294967296" is not allowed; use "mac", "duid", "networkd", "networkd:IAID", '
     '"none", or option 61 in hex with its type byte, such as "01:52:54:00:12:34:56" (2 to 255 bytes)'),
    ("[defaults]\nhostname = '-x'",
     'key defaults.hostname: "-x" is not a host name (RFC 1123: letters, digits and hyphens); '
     'use one, or "@system" for this machine\'s name'),
])
def test_an_error_names_file_key_fault_and_remedy(tmp_path: Path, text: str, wanted: str) -> None:
    assert _problems(tmp_path, text) == [wanted]


def test_user_classes_fit_the_option(tmp_path: Path) -> None:
    text = f"[defaults]\nuser_class = ['{'a' * 200}', '{'b' * 60}']"
    assert _problems(tmp_path, text) == [
        "key defaults.user_class: the classes are longer than 255 bytes together, a length byte each included"
    ]


def test_all_problems_of_all_files_are_told(tmp_path: Path) -> None:
    first = _file(tmp_path, "[defaults]\nacd = 1\nnak = 2\n", "a.toml")
    second = _file(tmp_path, "[agent]\nlog = 3\n", "b.toml")
    with pytest.raises(SettingsError) as caught:
        load([first, second])
    assert [problem.split(": ")[:2] for problem in caught.value.problems] == [
        [first, "key defaults.acd"], [first, "key defaults.nak"], [second, "key agent.log"]]
    assert str(caught.value) == "\n".join(caught.value.problems)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    assert _problems(tmp_path, "[defaults\n")[0].startswith("is not TOML: ")
    missing = str(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match=f"^{missing}: cannot be read: No such file or directory$"):
        room.read(missing)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(SettingsError, match=r"is not UTF-8 text \(byte 2\)$"):
        load([str(tmp_path / "latin.toml")])
    big = tmp_path / "big.toml"
    big.touch()
    os.truncate(big, SIZE_LIMIT + 1)
    with pytest.raises(SettingsError, match=r"is larger than 1048576 bytes$"):
        load([str(big)])


@pytest.mark.parametrize(("name", "fine"), [
    ("eth0", True), ("br-1.100", True), ("wlp0s20f3", True), ("a" * 15, True), ("a" * 16, False),
    ("", False), (".", False), ("..", False), ("a/b", False), ("a b", False), ("eth0:1", False), ("é" * 8, False),
])
def test_interface_names(name: str, fine: bool) -> None:
    assert (ifname_problem(name) is None) is fine


def test_a_pattern_configures_the_links_that_fit_and_an_exact_name_wins(tmp_path: Path) -> None:
    main = tmp_path / "holdfast.toml"
    main.write_text('[interfaces.ens3]\nmetric = 1\n[interfaces."en*"]\nmetric = 2\nuse_mtu = false\n'
                    "[defaults]\nmetric = 3\nuse_dns = false\n")
    settings = load([str(main)])
    assert list(settings.interfaces) == ["ens3"]
    for name, wanted in {"ens3": (1, False, False), "ens4": (2, False, False), "eth0": (3, True, False)}.items():
        one = settings.interface(name)
        assert (one.metric, one.use_mtu, one.use_dns) == wanted


def test_the_overlays_settings_are_weaker_than_the_administrators(tmp_path: Path) -> None:
    main, overlay = tmp_path / "holdfast.toml", tmp_path / "50-ens3.toml"
    main.write_text("[defaults]\nmetric = 3\n")
    overlay.write_text("[interfaces.ens3]\nmetric = 1024\nuse_domains = false\nuse_ntp = false\n")
    settings = load([str(main)], overlay=[str(overlay)])
    one = settings.interface("ens3")
    assert (one.metric, one.use_domains, one.use_ntp) == (3, False, False)
    assert settings.interfaces == {}
    assert settings.files == (str(overlay), str(main))


@pytest.mark.parametrize("text", ["metric = ", "[interfaces.ens3]\nmetrik = 1\n", "[agent]\nlog = 'stderr'\n", "\xff"])
def test_a_bad_file_of_the_overlay_is_named_and_left_out(tmp_path: Path, text: str) -> None:
    bad, good = tmp_path / "bad.toml", tmp_path / "good.toml"
    bad.write_bytes(text.encode("latin-1"))
    good.write_text("[interfaces.ens4]\nmetric = 5\n")
    settings = load([], overlay=[str(bad), str(tmp_path / "none.toml"), str(good)])
    assert [line.split(":")[0] for line in settings.warnings] == [str(bad), str(tmp_path / "none.toml")]
    assert settings.interface("ens4").metric == 5
    assert settings.files == (str(good),)


@pytest.mark.parametrize(("text", "wanted"), [
    ("90", 90.0), ("90s", 90.0), ("1m", 60.0), ("1m30s", 90.0), ("0.5h", 1800.0), ("2 min", 120.0), ("500ms", 0.5),
])
def test_durations(text: str, wanted: float) -> None:
    assert duration(text) == wanted


@pytest.mark.parametrize("text", ["", "s", "-5s", "5x", "1m-", "inf", "nan"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)
