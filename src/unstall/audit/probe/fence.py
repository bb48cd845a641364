"""The kernel holds back what code in C tries: drivers connect and write without a word to Python.

Linux only: Landlock for writes, a seccomp filter for the network, processes, signals to others and changes of
a file's metadata. Neither needs a privilege, and both end with the process.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_EPERM, _EACCES, _ENOSYS = 1, 13, 38

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}

# name: (x86_64, aarch64); -1 where there is none
_NETWORK = {
    "connect": (42, 203),
    "bind": (49, 200),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "io_uring_setup": (425, 425),
}
_OTHERS = {
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "execveat": (322, 281),
    "tkill": (200, 130),
    "pidfd_send_signal": (424, 424),
    "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "mount": (165, 40),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "setns": (308, 268),
    "reboot": (169, 142),
}
_SENDTO = (44, 206)
_CLONE, _CLONE3 = (56, 220), (435, 435)
_KILL, _TGKILL = (62, 129), (234, 131)
_CLONE_THREAD = 0x00010000

Line = tuple[int, int, int, int]


def put_up(scratch: str, parent: int) -> list[str]:
    """Fences this process off, but for writes below `scratch`; what could not be done, in clauses."""
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        return ["code in C is not held back on this system"]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if os.getppid() == 1 != parent:  # it died before we asked to die with it
        os._exit(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return ["code in C is not held back: the kernel refused no_new_privs"]
    missing = []
    if not _landlock(libc, scratch):
        missing.append("files written by code in C are not held back: this kernel has no Landlock")
    if not _seccomp(libc):
        missing.append("connections made by code in C are not held back: no seccomp filter here")
    return missing


# --- Landlock -------------------------------------------------------------------------------

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_WRITE_FILE = 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14


def _landlock(libc: ctypes.CDLL, scratch: str) -> bool:
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    rights = _WRITE_FILE | _REMOVE_AND_MAKE
    rights |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("Q", rights)
    rules = libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    try:
        on_files = rights & (_WRITE_FILE | _TRUNCATE)
        for path, allowed in ((scratch, rights), (os.devnull, on_files)):
            folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", allowed, folder)
                if libc.syscall(_ADD, rules, 1, rule, 0):
                    return False
            finally:
                os.close(folder)
        return not libc.syscall(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


# --- seccomp --------------------------------------------------------------------------------

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE = 0, 4


def _argument(index: int) -> int:
    """Offset of the low half of an argument; both architectures are little-endian."""
    return 16 + 8 * index


def rules(machine: str, pid: int) -> list[Line]:
    """The filter, as instructions (code, jump if true, jump if false, operand)."""
    column = {"x86_64": 0, "aarch64": 1}[machine]

    def answer(errno: int) -> Line:
        return (_RETURN, 0, 0, _ERRNO | errno)

    lines: list[Line] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCH[machine]),
        answer(_EPERM),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, 0x40000000),  # the x32 numbers
        answer(_EPERM),
    ]
    plain: dict[int, int] = {_CLONE3[column]: _ENOSYS}  # the C library then falls back to clone
    plain.update((numbers[column], _EACCES) for numbers in _NETWORK.values())
    plain.update((numbers[column], _EPERM) for numbers in _OTHERS.values())
    plain.pop(-1, None)
    for number, errno in sorted(plain.items()):
        lines += [(_EQUAL, 0, 1, number), answer(errno)]
    # A thread is a clone, too; an address makes a sendto of a send; signals to oneself are fine.
    lines += [(_EQUAL, 0, 4, _CLONE[column]), (_LOAD, 0, 0, _argument(0))]
    lines += [(_ANY_BIT, 1, 0, _CLONE_THREAD), answer(_EPERM), (_RETURN, 0, 0, _ALLOW)]
    lines += [(_EQUAL, 0, 6, _SENDTO[column]), (_LOAD, 0, 0, _argument(4)), (_EQUAL, 0, 2, 0)]
    lines += [(_LOAD, 0, 0, _argument(4) + 4), (_EQUAL, 1, 0, 0), answer(_EACCES)]
    lines += [(_RETURN, 0, 0, _ALLOW)]
    for numbers in (_KILL, _TGKILL):
        lines += [(_EQUAL, 0, 4, numbers[column]), (_LOAD, 0, 0, _argument(0))]
        lines += [(_EQUAL, 1, 0, pid), answer(_EPERM), (_RETURN, 0, 0, _ALLOW)]
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def _seccomp(libc: ctypes.CDLL) -> bool:
    machine = platform.machine()
    if machine not in _ARCH:
        return False
    lines = rules(machine, os.getpid())
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    program = struct.pack("HxxxxxxQ", len(lines), ctypes.addressof(code))
    on_all_threads = 1
    return bool(libc.syscall(_SECCOMP[machine], 1, on_all_threads, program) == 0)
