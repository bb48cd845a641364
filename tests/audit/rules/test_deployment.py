"""Workers, versions and limits, as a project's own files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstall.audit.rules.deployment import (
    Deployment,
    Workers,
    read,
    version_in,
    version_of,
    workers_in,
)


@pytest.mark.parametrize(
    ("file", "text", "count"),
    [
        ("Dockerfile", 'CMD ["uvicorn", "app:app", "--workers", "4"]', 4),
        ("Dockerfile", "CMD uvicorn app:app --workers=3", 3),
        ("Dockerfile", "CMD gunicorn app:app -w 5 -k uvicorn_worker.UvicornWorker", 5),
        ("Dockerfile", 'CMD ["gunicorn", "-w", "6", "app:app"]', 6),
        ("Dockerfile", "CMD uvicorn app:app --workers ${WORKERS:-7}", 7),
        ("Dockerfile", "ENV WEB_CONCURRENCY=8", 8),
        ("Procfile", "web: hypercorn app:app --workers 9", 9),
        ("compose.yaml", "    command: fastapi run --workers 2 app/main.py", 2),
        ("compose.yaml", '      WEB_CONCURRENCY: "10"', 10),
        ("gunicorn.conf.py", "workers = 11  # as many as cores", 11),
    ],
)
def test_a_worker_count_is_read_from(file: str, text: str, count: int) -> None:
    assert list(workers_in(text, file)) == [Workers(count, file, 1)]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("Dockerfile", "# CMD uvicorn app:app --workers 4"),
        ("Dockerfile", "CMD celery -A app worker --workers 4"),
        ("Dockerfile", "CMD uvicorn app:app"),
        ("Dockerfile", "CMD uvicorn app:app --workers $WORKERS"),
        ("gunicorn.conf.py", "workers = multiprocessing.cpu_count()"),
        ("settings.py", "workers = 4"),
    ],
)
def test_a_worker_count_is_not_guessed_from(file: str, text: str) -> None:
    assert list(workers_in(text, file)) == []


def test_a_command_over_several_lines_is_one() -> None:
    text = "CMD gunicorn app:app \\\n    --workers 4\n"
    assert [found.count for found in workers_in(text, "Dockerfile")] == [4]


@pytest.mark.parametrize(
    "text",
    [
        "redis==5.2.1\n",
        "redis[hiredis]>=5.2.1,<6\n",
        'dependencies = ["fastapi", "redis~=5.2.1"]\n',
        'redis = "^5.2.1"\n',
        'redis = { version = "^5.2.1", extras = ["hiredis"] }\n',
        '[[package]]\nname = "redis"\nversion = "5.2.1"\n',
        '"redis": {"hashes": [], "version": "==5.2.1"}',
    ],
)
def test_a_version_is_read_from_locks_and_requirements(text: str) -> None:
    assert version_of(Deployment(locks={"a": text}), "redis") == (5, 2, 1)


def test_the_lowest_version_that_is_allowed_counts() -> None:
    locks = {"uv.lock": 'name = "redis"\nversion = "8.0.1"', "requirements.txt": "redis>=4.5"}
    assert version_of(Deployment(locks=locks), "redis") == (4, 5)


@pytest.mark.parametrize("text", ["redis\n", "redis-om==0.1\n", "aioredis==2.0\n", ""])
def test_a_version_that_is_not_said_is_not_known(text: str) -> None:
    assert version_of(Deployment(locks={"a": text}), "redis") is None


def test_what_is_no_number_in_a_version_is_left_out() -> None:
    assert version_in("8.0.1rc1") == (8, 0)


def test_a_folder_is_read_three_levels_deep(tmp_path: Path) -> None:
    files = {
        "Dockerfile": "CMD uvicorn app:app --workers 2",
        "deploy/api/Procfile": "web: uvicorn app:app --workers 3",
        "deploy/nginx/nginx.conf": "client_max_body_size 2m;",
        "backend/requirements.txt": "redis==5.0",
        "node_modules/x/Dockerfile": "CMD uvicorn app:app --workers 99",
        "a/b/c/d/Dockerfile": "CMD uvicorn app:app --workers 98",
        "Makefile": "dev:\n\techo no workers here\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = read(tmp_path)
    assert {(each.count, each.file) for each in found.workers} == {
        (2, "Dockerfile"),
        (3, "deploy/api/Procfile"),
    }
    assert found.limits_bodies
    assert version_of(found, "redis") == (5, 0)


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").symlink_to(tmp_path / "nowhere")
    (tmp_path / "Procfile").write_bytes(b"\xff\xfe web: uvicorn a:b --workers 2\n")
    (tmp_path / "compose.yaml").mkdir()
    assert [found.count for found in read(tmp_path).workers] == [2]
