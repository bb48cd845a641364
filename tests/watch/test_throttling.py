"""Control groups as their files show them, in both versions, inside and outside of containers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from unstall.watch.throttling import Read, Throttling, limited_groups, throttled_ns

STAT_2 = """usage_usec 812345
user_usec 700000
system_usec 112345
nr_periods 120
nr_throttled 17
throttled_usec 1532
nr_bursts 0
burst_usec 0
"""
STAT_1 = "nr_periods 120\nnr_throttled 17\nthrottled_time 1532000\n"

MOUNT_2 = "31 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
MOUNT_1 = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
)
OTHERS = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"


def files(**texts: str) -> Read:
    return lambda path: _text(texts, path)


def _text(texts: Mapping[str, str], path: str) -> str:
    if path not in texts:
        raise FileNotFoundError(path)
    return texts[path]


def system(cgroup: str, mounts: str, more: Mapping[str, str]) -> dict[str, str]:
    return {"/proc/self/cgroup": cgroup, "/proc/self/mountinfo": OTHERS + mounts, **more}


LIMITED = {
    "version 2, the pod above has the limit": (
        system(
            "0::/kubepods/pod7/web\n",
            MOUNT_2,
            {
                "/sys/fs/cgroup/kubepods/pod7/web/cpu.max": "max 100000\n",
                "/sys/fs/cgroup/kubepods/pod7/cpu.max": "50000 100000\n",
                "/sys/fs/cgroup/kubepods/pod7/cpu.stat": STAT_2,
                "/sys/fs/cgroup/kubepods/cpu.max": "max 100000\n",
            },
        ),
        "/sys/fs/cgroup/kubepods/pod7/cpu.stat",
    ),
    "version 2, in a container with its own namespace": (
        system(
            "0::/\n",
            MOUNT_2,
            {"/sys/fs/cgroup/cpu.max": "50000 100000\n", "/sys/fs/cgroup/cpu.stat": STAT_2},
        ),
        "/sys/fs/cgroup/cpu.stat",
    ),
    "version 1": (
        system(
            "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n0::/docker/ab\n",
            MOUNT_1,
            {
                "/sys/fs/cgroup/cpu,cpuacct/docker/ab/cpu.cfs_quota_us": "50000\n",
                "/sys/fs/cgroup/cpu,cpuacct/docker/ab/cpu.stat": STAT_1,
                "/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us": "-1\n",
            },
        ),
        "/sys/fs/cgroup/cpu,cpuacct/docker/ab/cpu.stat",
    ),
    "version 1, in a container that sees the path outside": (
        system(
            "3:cpu,cpuacct:/docker/ab\n",
            MOUNT_1.replace("0:29 /", "0:29 /docker/ab"),
            {
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.stat": STAT_1,
            },
        ),
        "/sys/fs/cgroup/cpu,cpuacct/cpu.stat",
    ),
}

UNLIMITED = {
    "no limit anywhere": system("0::/web\n", MOUNT_2, {"/sys/fs/cgroup/web/cpu.max": "max 100000\n"}),
    "no quota": system(
        "3:cpu,cpuacct:/\n", MOUNT_1, {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n"}
    ),
    "the files are hidden": system("0::/web\n", MOUNT_2, {}),
    "no control groups": {},
    "nothing that can be read": system("what is this", "nor this\n", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", LIMITED)
def test_the_group_with_the_limit_is_found(case: str) -> None:
    texts, stat = LIMITED[case]
    assert limited_groups(files(**texts)) == (stat,)
    assert Throttling(files(**texts)).total_ns() == 1_532_000


@pytest.mark.parametrize("case", UNLIMITED)
def test_without_a_limit_nothing_is_known_and_nothing_raised(case: str) -> None:
    throttling = Throttling(files(**UNLIMITED[case]))
    assert not throttling.limited
    assert throttling.total_ns() is None


def test_the_limits_of_several_groups_are_added() -> None:
    texts = system(
        "0::/a/b\n",
        MOUNT_2,
        {
            f"/sys/fs/cgroup/{folder}/{name}": text
            for folder in ("a", "a/b")
            for name, text in (("cpu.max", "1 2\n"), ("cpu.stat", STAT_2))
        },
    )
    assert Throttling(files(**texts)).total_ns() == 2 * 1_532_000


def test_files_that_vanish_are_not_asked_again() -> None:
    texts = dict(LIMITED["version 1"][0])
    throttling = Throttling(files(**texts))
    gone = Throttling(lambda path: _text({k: v for k, v in texts.items() if "stat" not in k}, path))
    assert throttling.total_ns() == 1_532_000
    assert gone.limited
    assert gone.total_ns() is None
    assert not gone.limited


@pytest.mark.parametrize(
    ("stat", "ns"), [(STAT_2, 1_532_000), (STAT_1, 1_532_000), ("usage_usec 5\n", 0), ("", 0)]
)
def test_both_spellings_are_read(stat: str, ns: int) -> None:
    assert throttled_ns(stat) == ns
