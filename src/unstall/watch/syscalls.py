"""System calls by number, for the machines that have a table here, and what their arguments mean."""

from __future__ import annotations

from collections.abc import Mapping

_X86_64 = """
    0 read 1 write 2 open 3 close 4 stat 5 fstat 6 lstat 7 poll 8 lseek 9 mmap 11 munmap 12 brk
    17 pread64 18 pwrite64 19 readv 20 writev 21 access 23 select 24 sched_yield 26 msync 28 madvise
    35 nanosleep 40 sendfile 42 connect 43 accept 44 sendto 45 recvfrom 46 sendmsg 47 recvmsg 56 clone
    58 vfork 59 execve 61 wait4 72 fcntl 73 flock 74 fsync 75 fdatasync 82 rename 83 mkdir 87 unlink
    89 readlink 128 rt_sigtimedwait 162 sync 202 futex 208 io_getevents 217 getdents64 220 semtimedop
    230 clock_nanosleep 232 epoll_wait 247 waitid 257 openat 262 newfstatat 263 unlinkat 264 renameat
    269 faccessat 270 pselect6 271 ppoll 275 splice 281 epoll_pwait 285 fallocate 288 accept4 295 preadv
    296 pwritev 299 recvmmsg 306 syncfs 316 renameat2 326 copy_file_range 332 statx 426 io_uring_enter
    435 clone3 441 epoll_pwait2 449 futex_waitv
"""
_AARCH64 = """
    4 io_getevents 22 epoll_pwait 25 fcntl 32 flock 35 unlinkat 38 renameat 47 fallocate 48 faccessat
    56 openat 57 close 61 getdents64 62 lseek 63 read 64 write 65 readv 66 writev 67 pread64 68 pwrite64
    69 preadv 70 pwritev 71 sendfile 72 pselect6 73 ppoll 76 splice 79 newfstatat 80 fstat 81 sync
    82 fsync 83 fdatasync 95 waitid 98 futex 101 nanosleep 115 clock_nanosleep 124 sched_yield
    137 rt_sigtimedwait 192 semtimedop 202 accept 203 connect 206 sendto 207 recvfrom 211 sendmsg
    212 recvmsg 214 brk 220 clone 221 execve 222 mmap 227 msync 233 madvise 242 accept4 243 recvmmsg
    260 wait4 267 syncfs 276 renameat2 285 copy_file_range 291 statx 426 io_uring_enter 435 clone3
    441 epoll_pwait2 449 futex_waitv
"""

TAKES_FD = frozenset(
    """read write pread64 pwrite64 readv writev connect accept accept4 sendto recvfrom sendmsg recvmsg
    recvmmsg fsync fdatasync flock fcntl getdents64 preadv pwritev fallocate syncfs fstat
    """.split()
)
"""The first argument is the descriptor that is waited on."""

POLLS = frozenset({"poll", "ppoll"})
SELECTS = frozenset({"select", "pselect6"})


def names(machine: str) -> Mapping[int, str]:
    """Number to name for a machine as `os.uname().machine` calls it; empty if there is no table."""
    words = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(machine, "").split()
    return {int(number): name for number, name in zip(words[::2], words[1::2], strict=True)}
