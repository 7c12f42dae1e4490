"""Runs in a virtual machine: does what the test says over a virtio-serial port, one JSON object a line.

A request is {"id", "argv", "stdin" (base64), "timeout" (s)}; its reply {"id", "code", "out", "err" (base64)}.
Requests run side by side. A request whose time is over is killed with its process group, and code is null.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time

PORT = "/dev/virtio-ports/guest"


def main() -> None:
    while not os.path.exists(PORT):  # udev makes it; no D-Bus, no inotify this early
        time.sleep(0.05)
    port = os.open(PORT, os.O_RDWR)
    turn = threading.Lock()

    def say(answer: dict) -> None:
        data = json.dumps(answer).encode() + b"\n"
        with turn:
            while data:
                data = data[os.write(port, data):]

    say({"id": 0})
    rest = b""
    while True:
        data = os.read(port, 65536)
        if not data:  # nobody has the other end open
            time.sleep(0.05)
            continue
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                threading.Thread(target=serve, args=(line, say), daemon=True).start()


def serve(line: bytes, say) -> None:
    try:
        request = json.loads(line)
    except ValueError:
        return
    answer = {"id": request["id"], "code": None, "out": "", "err": ""}
    try:
        child = subprocess.Popen(
            request["argv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, cwd="/",
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                 "LANG": "C.UTF-8"},
        )
        try:
            out, err = child.communicate(base64.b64decode(request["stdin"]), request["timeout"])
            answer["code"] = child.returncode
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
        answer.update(out=base64.b64encode(out).decode(), err=base64.b64encode(err).decode())
    except OSError as error:
        answer.update(code=127, err=base64.b64encode(str(error).encode()).decode())
    say(answer)


if __name__ == "__main__":
    sys.exit(main())
