"""A guest that its cloud-init takes for one of Red Hat's family.

Real: dnf, rpm, the repository and its signatures, cloud-init's code for that family. Debian's: everything else, and so
packages without files stand for what our .rpm requires.
"""

from __future__ import annotations

from tests.support.guests import SERVER, File, Nspawn, layer
from tests.support.repositories import PACKAGES

#: cloud-init's modules in the order in which Enterprise Linux 9 runs them, as far as user-data of ours concerns them.
#: The host's name is set by hostnamectl there, for which Debian's unit starts cloud-init too early.
_CLOUD = """\
system_info: {distro: rocky}
preserve_hostname: true
cloud_init_modules: [migrator, seed_random, bootcmd, write-files, users-groups]
cloud_config_modules: [locale, set-passwords, yum-add-repo, timezone, runcmd]
cloud_final_modules: [package-update-upgrade-install, scripts-vendor, scripts-per-once, scripts-per-boot,
  scripts-per-instance, scripts-user, final-message]
"""
SETTINGS = {
    "/etc/cloud/cloud.cfg.d/82-red-hat.cfg": File(_CLOUD),
    "/etc/yum.repos.d/base.repo": File(f"[base]\nname=Base\nbaseurl=http://{SERVER}/base\ngpgcheck=0\n"),
}


class RedHat(Nspawn):
    """Give it ``SETTINGS`` among its files, and serve ``repositories()`` by HTTP."""

    def _lower(self) -> str:
        return f"{layer(*PACKAGES)}:{super()._lower()}"
