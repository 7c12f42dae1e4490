"""A whole virtual machine, by QEMU's own translator: no hardware support is needed, and a boot takes 20 s or so.

The tree's kernel and initrd are booted directly; the disk is a qcow2 overlay on the tree's image. What the guest has
of its own comes in an archive before the initrd's own, which copies it to the disk at the first boot. Commands go
over a virtio-serial port to ``channel.py`` in the guest.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.guests.conversation import Conversation
from tests.support.guests.files import File, cpio
from tests.support.guests.guest import Completed, Disk, Guest, GuestError
from tests.support.guests.place import Slot
from tests.support.guests.qmp import Qmp

from holdfast_lab.testbed import fair_time

#: No tsc=reliable: on a busy machine the kernel may measure the TSC's rate wrongly, and must be able to find out.
_KERNEL_ARGUMENTS = (
    "root=/dev/vda rw console=ttyS0 mitigations=off nokaslr no_timer_check quiet"
    " systemd.show_status=1 systemd.log_color=0"
)


class Qemu(Guest):
    """See Guest. ``generation``: the VM generation ID; ``product_uuid``: what the firmware says.

    ``newer_kernel``: not Debian 12's own 6.1, which knows no VM generation ID, but the newest built for it.
    """

    virtual_machine = True

    def __init__(
        self, *arguments: Any, generation: uuid.UUID | None = None, product_uuid: uuid.UUID | None = None,
        newer_kernel: bool = False, **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.kernel = self.tree.kernels[-1 if newer_kernel else 0]
        self.generation = generation or uuid.uuid4()
        self.product_uuid = product_uuid or uuid.uuid4()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._slot: Slot | None = None
        self._console = self.folder / "console"
        self._overlay = self.folder / "disk.qcow2"
        self._initrd = self.folder / "initrd"
        self.qmp: Qmp  # made when the machine is switched on

    def _start(self) -> None:
        if self._disk is None:
            make = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(self.tree.disk)]
            subprocess.run([*make, str(self._overlay)], check=True, stdin=subprocess.DEVNULL)
        else:
            shutil.copyfile(self._disk.path, self._overlay)
        own = {f"/guest-files{path}": entry for path, entry in self._files.items()}
        own["/guest-id"] = File(f"{uuid.uuid4()}\n")
        # First: the kernel's lz4 reader would take what follows its own archive for a part of it.
        self._initrd.write_bytes(cpio(own) + self.kernel.initrd.read_bytes())
        self._switch_on()

    def _switch_on(self, *options: str) -> None:
        if self._slot is None:
            self._slot = Slot()
        for name in ("qmp", "channel"):
            (self.folder / name).unlink(missing_ok=True)
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = self.net.server.popen(
                [*self._command(), *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        self.wait(self._connect, 20, "QEMU listens")

    def _command(self) -> list[str]:
        folder = self.folder
        return [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-name", "guest",
            "-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "Nehalem",
            "-m", "640", "-uuid", str(self.product_uuid), "-rtc", "base=utc",
            "-kernel", str(self.kernel.image), "-initrd", str(self._initrd), "-append", _KERNEL_ARGUMENTS,
            "-drive", f"if=none,id=disk,format=qcow2,cache=unsafe,file={self._overlay}",
            "-device", "virtio-blk-pci,drive=disk,addr=0x5", "-device", "virtio-rng-pci,addr=0x6",
            "-netdev", "tap,id=net0,ifname=port0,script=no,downscript=no",
            "-device", f"virtio-net-pci,id=nic0,netdev=net0,mac={self.mac},addr=0x3,romfile=",
            "-device", "virtio-serial-pci,addr=0x4",
            "-chardev", f"socket,id=channel,server=on,wait=off,path={folder}/channel",
            "-device", "virtserialport,chardev=channel,name=guest",
            "-chardev", f"file,id=console,append=on,path={self._console}", "-serial", "chardev:console",
            "-chardev", f"socket,id=qmp,server=on,wait=off,path={folder}/qmp", "-mon", "chardev=qmp,mode=control",
            "-device", f"vmgenid,guid={self.generation}",
        ]

    def _connect(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = (self.folder / "qemu.log").read_text(errors="replace")
            raise GuestError(f"QEMU has ended ({self._process.returncode}): {log[-2000:]}\n{self.last_words()}")
        try:
            self._channel = self._channel or Channel(self.folder / "channel")
            self.qmp = Qmp(self.folder / "qmp")
        except (FileNotFoundError, ConnectionRefusedError):  # not yet
            return False
        return True

    # -- the interface of every guest

    def run(
        self, argv: Sequence[str], *, timeout: float = 60, stdin: bytes = b"", check: bool = False
    ) -> Completed:
        """Over the channel; waits for the channel itself, in the first seconds of a boot."""
        assert self._channel is not None, "it is off"
        if not self._channel.ready.wait(fair_time.longest(100)):
            raise GuestError(f"nobody reads commands in the guest\n{self.last_words()}")
        reply = self._channel.ask(argv, stdin, timeout)
        if reply is None or reply["code"] is None:
            raise GuestError(f"{' '.join(argv)}: not done after {timeout:g} s\n{self.last_words()}")
        raw, err = base64.b64decode(reply["out"]), base64.b64decode(reply["err"])
        done = Completed(tuple(argv), reply["code"], raw.decode(errors="replace"), err.decode(errors="replace"), raw)
        return self._completed(done, check)

    def reboot(self, *, timeout: float = 180) -> None:
        """systemctl reboot, and the next boot's first word."""
        self.run(["systemctl", "reboot", "--no-block"])
        self.wait_next_boot(timeout=timeout)

    def wait_next_boot(self, *, timeout: float = 180) -> None:
        """Wait until the guest resets itself, and then until it can run programs again.

        A reset ends QEMU, and it is started anew: translating a kernel that was loaded over the former one takes
        14 s more.
        """
        assert self._process is not None
        self._wait_end(timeout)
        assert self.qmp.wait_event("SHUTDOWN")["data"]["reason"] == "guest-reset", self.last_words()
        self._switched_off()
        self._switch_on()
        self.run(["true"])

    def power_off(self, *, timeout: float = 90) -> None:
        """systemctl poweroff; QEMU ends."""
        assert self._process is not None
        self.run(["systemctl", "poweroff", "--no-block"])
        self._wait_end(timeout)
        self._switched_off()

    def _wait_end(self, timeout: float) -> None:
        assert self._process is not None
        try:
            fair_time.wait(self._process, timeout)
        except subprocess.TimeoutExpired as error:
            raise GuestError(f"the guest is still up after {timeout:g} s\n{self.last_words()}") from error

    def power_on(self) -> None:
        """Boot again from the disk."""
        assert self._process is None, "it is on"
        self._switch_on()

    def kill(self) -> None:
        """SIGKILL to QEMU."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._switched_off()
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def _switched_off(self) -> None:
        self._process = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            self.qmp.close()

    def console_text(self) -> str:
        """The serial console, over all boots."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def keep_disk(self, folder: Path) -> Disk:
        """The qcow2 overlay."""
        assert self._process is None, "first power the guest off"
        return Disk(Path(shutil.copyfile(self._overlay, folder / "disk.qcow2")))

    # -- what only a virtual machine can do

    def pause(self) -> None:
        """Stop its processors: its clocks stand still while the world goes on."""
        self.qmp.execute("stop")

    def resume(self) -> None:
        """Let them run again."""
        self.qmp.execute("cont")

    def carrier(self, on: bool) -> None:
        """Pull the cable of its network card, or put it back."""
        self.qmp.execute("set_link", name="nic0", up=on)

    def save(self, path: Path) -> None:
        """Stop it and write its memory and devices to a file, for ``restore``. Its disk must stay as it is."""
        self.pause()
        since = len(self.qmp.events)
        self.qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        self.qmp.execute("migrate", uri=f"exec:cat >'{path}'")
        ends = {"completed", "failed"}
        self.wait(lambda: self.qmp.execute("query-migrate").get("status") in ends, 120, "the guest is saved")
        assert self.qmp.execute("query-migrate")["status"] == "completed", self.qmp.events[since:]

    def restore(self, path: Path, *, generation: uuid.UUID | None = None) -> None:
        """Pull the plug, and go on from what ``save`` wrote. Another ``generation``: the guest is a copy."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._switched_off()
        self.generation = generation or self.generation
        self._switch_on("-incoming", f"exec:cat '{path}'")
        assert self._channel is not None
        self._channel.ready.set()  # it said hello before it was saved
        self.wait(lambda: self.qmp.execute("query-status")["status"] in {"paused", "running"}, 60, "it is loaded")
        self.resume()


class Channel(Conversation):
    """Our end of the port to the guest's reader; requests may come from several threads."""

    def __init__(self, path: Path) -> None:
        self.ready = threading.Event()
        self._replies: dict[int, dict[str, Any]] = {}
        self._number = 0
        super().__init__(path)

    def ask(self, argv: Sequence[str], stdin: bytes, timeout: float) -> dict[str, Any] | None:
        """The guest's reply, or None when it has not come in ``timeout`` and some grace. The guest, which cannot know
        how busy this machine is, ends the program only when that is over on any."""
        with self._changed:
            self._number += 1
            number = self._number
            self._say({
                "id": number, "argv": list(argv), "stdin": base64.b64encode(stdin).decode(),
                "timeout": fair_time.longest(timeout),
            })
            fair_time.wait_on(self._changed, lambda: number in self._replies, timeout + 10)
            return self._replies.pop(number, None)

    def _take(self, message: dict[str, Any]) -> None:
        if message["id"] == 0:
            self.ready.set()
        else:
            self._replies[message["id"]] = message
