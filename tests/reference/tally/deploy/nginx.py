"""A real nginx for tests: the system's, or Debian's package unpacked into a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tally.stack.processes import free_port

TEMPLATE = Path(__file__).parents[4] / "reference/tally/deploy/nginx/tally.conf.template"
SYSTEM = ("/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx")
DOWNLOAD_S = 60

MAIN = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/tally.conf;
}}
"""


class NginxUnavailable(RuntimeError):
    """There is none, and none can be had; the message says what to do."""


def find_nginx(folder: Path) -> Path:
    """The system's, or Debian's package, unpacked below `folder`: nothing is installed."""
    found = shutil.which("nginx") or next((path for path in SYSTEM if Path(path).exists()), None)
    return Path(found) if found else _unpacked(folder)


def _unpacked(folder: Path) -> Path:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise NginxUnavailable("there is no nginx, and no Debian to get one from: install nginx")
    try:
        for command in (["apt-get", "download", "nginx"], ["sh", "-c", "dpkg -x nginx_*.deb ."]):
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=DOWNLOAD_S)
        binary = folder / "usr/sbin/nginx"
        subprocess.run([binary, "-v"], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip()
        raise NginxUnavailable(f"Debian's nginx cannot be had: {said or error}") from None
    return binary


def rendered(template: str, values: Mapping[str, str]) -> str:
    """As envsubst does in the image of nginx: what is in `values`, and no more."""
    return re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], found[0]), template)


@contextmanager
def running(binary: Path, folder: Path, **values: str) -> Iterator[int]:
    """nginx with our configuration on a free port of 127.0.0.1."""
    port = free_port()
    template = TEMPLATE.read_text()
    conf = rendered(
        template, {"FROM_PROXY": "127.0.0.1/32", "LISTEN": f"127.0.0.1:{port}", **values}
    )
    (folder / "tally.conf").write_text(conf)
    user = "user root;" if os.geteuid() == 0 else ""  # its own could not read the folder
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    log_file, conf_file = folder / "error.log", folder / "nginx.conf"
    command = [str(each) for each in (binary, "-p", folder, "-c", conf_file, "-e", log_file)]
    with (folder / "access.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(port, process, folder / "error.log")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path | None = None) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            said = log.read_text() if log and log.exists() else ""
            assert process.poll() is None, f"it ended with {process.returncode}: {said}"
            assert time.monotonic() < until, f"nobody listens at {port}: {said}"
            time.sleep(0.02)
        else:
            return
