"""An upload becomes events, each counted once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest

from tally.settings import Settings
from tally.worker import load, records, service
from tally.worker.contents import Kind
from tally.worker.jobs import Status
from tally.worker.load import Loader
from tally.worker.records import KIND, Import, Line, Overtaken, Progress, State, Upload
from tally.worker.scan import examine
from tally.worker.service import Worker
from tests.reference.tally.events import moment, text_of
from tests.reference.tally.failing import fail_over
from tests.reference.tally.worker.archives import EICAR, gzipped, ndjson, zipped

pytestmark = pytest.mark.live

CUSTOMER = 7


@dataclass(frozen=True, slots=True)
class Bench:
    """A worker that does nothing by itself."""

    worker: Worker
    settings: Settings

    async def upload(self, data: bytes, kind: Kind = Kind.NDJSON) -> UUID:
        number = uuid4()

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        stored = await self.worker.imports.spool.store(number, chunks(), 10**9)
        digest = hashlib.sha256(data).hexdigest()
        assert stored.sha256 == digest
        async with self.worker.imports.pool.connection() as connection:
            upload = Upload(number, CUSTOMER, "events.ndjson", kind, stored.size, stored.sha256)
            await records.create(connection, upload)
        return number

    async def run(self, number: UUID) -> Import:
        await self.worker.imports.run({"import": str(number)})
        return await self.read(number)

    async def read(self, number: UUID) -> Import:
        async with self.worker.imports.pool.connection() as connection:
            found = await records.read(connection, number)
        assert found is not None
        return found

    async def lines(self, number: UUID) -> list[Line]:
        async with self.worker.imports.pool.connection() as connection:
            return await records.lines_of(connection, number)

    async def scalar(self, query: str, *values: Any) -> Any:
        async with self.worker.imports.pool.connection() as connection:
            row = await (await connection.execute(query.encode(), values)).fetchone()
        return row and row[0]

    async def counted(self) -> tuple[int, int, int, int]:
        """Events, those of both rollups, and those to bill: the same, or something is wrong."""
        row = await self.scalar(
            """SELECT ARRAY[
                (SELECT count(*) FROM events),
                (SELECT coalesce(sum(count), 0) FROM rollup_minute),
                (SELECT coalesce(sum(count), 0) FROM rollup_hour),
                (SELECT coalesce(sum(events), 0) FROM usage_outbox)
            ]::bigint[]"""
        )
        return tuple(row)


Run: TypeAlias = "Callable[[Callable[[Bench], Any]], None]"


@pytest.fixture
def bench(settings: Settings) -> Run:
    def run(test: Callable[[Bench], Any]) -> None:
        async def main() -> None:
            async with bench_of(settings) as found:
                await test(found)

        asyncio.run(main())

    return run


@asynccontextmanager
async def bench_of(settings: Settings) -> AsyncIterator[Bench]:
    async with service.worker(settings) as worker:
        yield Bench(worker, settings)


def total(found: Import) -> tuple[int, int, int, int]:
    return found.lines, found.accepted, found.duplicates, found.rejected


@pytest.mark.parametrize(
    ("pack", "kind"), [(bytes, Kind.NDJSON), (gzipped, Kind.GZIP), (zipped, Kind.ZIP)]
)
def test_each_line_becomes_an_event(bench: Run, pack: Callable[[bytes], bytes], kind: Kind) -> None:
    async def test(bench: Bench) -> None:
        number = await bench.upload(pack(ndjson(text_of() for _ in range(1234))), kind)
        done = await bench.run(number)
        assert (done.state, done.reason) == (State.DONE, None)
        assert total(done) == (1234, 1234, 0, 0)
        assert done.finished_at is not None
        assert await bench.counted() == (1234, 1234, 1234, 1234)
        assert not bench.worker.imports.spool.path(number).exists()

    bench(test)


def test_a_line_with_one_name_too_many_is_told_and_the_others_are_loaded(
    settings: Settings,
) -> None:
    few = replace(settings, limits=replace(settings.limits, names=2))

    async def main() -> None:
        async with bench_of(few) as bench:
            number = await bench.upload(ndjson(text_of(name=name) for name in "abcab"))
            done = await bench.run(number)
            assert (done.state, total(done)) == (State.DONE, (5, 4, 0, 1))
            (line,) = await bench.lines(number)
            assert (line.line, line.status) == (3, "rejected")
            assert str(line.reason).startswith("too-many-names: customer 7 has used all 2 names")
            assert await bench.counted() == (4, 4, 4, 4)

    asyncio.run(main())


def test_after_a_fail_over_names_are_asked_for_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool replaces its connections, and no chunk fails: the next server may still know less."""
    few = replace(settings, limits=replace(settings.limits, names=1))
    committed = Loader._commit

    async def and_fails_over(loader: Loader, record: Import, since: int, chunk: load.Chunk) -> None:
        await committed(loader, record, since, chunk)
        if since == 0:
            await asyncio.to_thread(fail_over, settings.database_url, CUSTOMER)

    monkeypatch.setattr(load, "CHUNK", 2)
    monkeypatch.setattr(Loader, "_commit", and_fails_over)

    async def main() -> None:
        async with bench_of(few) as bench:
            number = await bench.upload(ndjson(text_of(name=name) for name in "abba"))
            done = await bench.run(number)
            assert (done.state, total(done)) == (State.DONE, (4, 2, 0, 2))
            assert [line.line for line in await bench.lines(number)] == [2, 4]

    asyncio.run(main())


def test_a_line_that_is_not_accepted_is_told_with_its_number(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        once = text_of()
        number = await bench.upload(
            ndjson(
                [
                    once,
                    once,
                    b"",
                    b"{",
                    text_of(name=7),
                    text_of(at="2020-01-01T00:00:00Z"),
                    text_of(properties={"note": "x" * 70_000}),
                    text_of(customer=CUSTOMER + 1),
                    text_of(customer=CUSTOMER),
                ]
            )
        )
        done = await bench.run(number)
        assert total(done) == (9, 2, 1, 5)
        lines = await bench.lines(number)
        assert [(each.line, each.status) for each in lines] == [
            (2, "duplicate"),
            *[(line, "rejected") for line in (4, 5, 6, 7, 8)],
        ]
        reasons = [each.reason.partition(":")[0] for each in lines[1:] if each.reason]
        assert reasons == ["malformed", "invalid", "too-old", "event-too-large", "other-customer"]
        assert await bench.counted() == (2, 2, 2, 2)

    bench(test)


def test_what_is_uploaded_twice_counts_once(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        data = ndjson(text_of() for _ in range(700))
        await bench.run(await bench.upload(data))
        again = await bench.run(await bench.upload(data))
        assert total(again) == (700, 0, 700, 0)
        assert await bench.counted() == (700, 700, 700, 700)

    bench(test)


def test_events_are_enriched_while_they_are_loaded(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        line = text_of(properties={"user_agent": "curl/8", "referrer": "https://www.example.com/"})
        await bench.run(await bench.upload(ndjson([line])))
        stored = json.loads(await bench.scalar("SELECT properties FROM events"))
        assert (stored["agent_family"], stored["referrer_host"]) == ("curl", "example.com")

    bench(test)


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (zipped(ndjson([text_of()]), EICAR.encode()), Kind.ZIP, "malware: the scanner found eicar"),
        (ndjson([text_of()]), Kind.ZIP, "not-what-it-says: the upload says zip and is ndjson"),
        (gzipped(bytes(64_000_000)), Kind.GZIP, "bomb: "),
        (b"\x89PNG\r\n\x1a\n\x00", Kind.NDJSON, "not-text: "),
    ],
)
def test_what_the_scan_refuses_is_not_loaded(
    bench: Run, data: bytes, kind: Kind, reason: str
) -> None:
    async def test(bench: Bench) -> None:
        number = await bench.upload(data, kind)
        refused = await bench.run(number)
        assert refused.state is State.REJECTED
        assert refused.reason is not None
        assert refused.reason.startswith(reason)
        assert await bench.counted() == (0, 0, 0, 0)
        assert not bench.worker.imports.spool.path(number).exists()

    bench(test)


def test_a_scan_that_takes_too_long_is_ended(settings: Settings) -> None:
    async def main() -> None:
        async with service.worker(settings, scan_s=0.5) as worker:
            await worker.imports.lane.warm(examine)
            bench = Bench(worker, settings)
            number = await bench.upload(ndjson([text_of()]))
            path = worker.imports.spool.path(number)
            path.unlink()
            os.mkfifo(path)  # whoever reads it waits for good
            refused = await bench.run(number)
            assert refused.state is State.REJECTED
            assert refused.reason == "scan: it took too long to look through"

    asyncio.run(main())


# --- again --------------------------------------------------------------------------------------------


class Killed(BaseException):
    """As if the worker died there."""


def test_it_goes_on_where_a_killed_worker_stopped(
    bench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(bench: Bench) -> None:
        number = await bench.upload(ndjson(text_of() for _ in range(1700)))
        commit = Loader._commit
        calls = 0

        async def dying(self: Loader, record: Import, since: int, chunk: load.Chunk) -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise Killed
            await commit(self, record, since, chunk)

        monkeypatch.setattr(Loader, "_commit", dying)
        with pytest.raises(Killed):
            await bench.run(number)
        half = await bench.read(number)
        assert (half.state, half.lines) == (State.LOADING, 1000)
        monkeypatch.setattr(Loader, "_commit", commit)
        done = await bench.run(number)
        assert (done.state, total(done)) == (State.DONE, (1700, 1700, 0, 0))
        assert await bench.counted() == (1700,) * 4

    bench(test)


def test_two_workers_at_one_import_count_each_line_once(
    bench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tally.worker.imports.STEP_ASIDE_S", 0.01)

    async def test(bench: Bench) -> None:
        number = await bench.upload(ndjson(text_of() for _ in range(3000)))
        async with service.worker(bench.settings) as other:
            await asyncio.gather(
                bench.worker.imports.run({"import": str(number)}),
                other.imports.run({"import": str(number)}),
            )
        assert total(await bench.read(number)) == (3000, 3000, 0, 0)
        assert await bench.counted() == (3000,) * 4

    bench(test)


def test_what_was_counted_by_somebody_else_is_not_counted_again(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        number = await bench.upload(ndjson([text_of()]))
        pool = bench.worker.imports.pool
        async with pool.connection() as connection:
            await records.enter(connection, number, State.LOADING)
            await records.advance(connection, number, 0, Progress(lines=1, accepted=1))
        async with pool.connection() as connection:
            with pytest.raises(Overtaken):
                await records.advance(connection, number, 0, Progress(lines=1, accepted=1))
        assert total(await bench.read(number)) == (1, 1, 0, 0)

    bench(test)


def test_a_finished_import_stays_as_it_is(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        number = await bench.upload(ndjson([text_of()]))
        done = await bench.run(number)
        assert await bench.run(number) == done
        await bench.worker.imports.give_up({"import": str(number)}, "too late")
        assert await bench.read(number) == done

    bench(test)


def test_one_that_nobody_can_load_is_failed_with_its_reason(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        number = await bench.upload(ndjson([text_of()]))
        await bench.worker.imports.give_up(
            {"import": str(number)}, "its worker died again and again"
        )
        failed = await bench.read(number)
        assert (failed.state, failed.reason) == (State.FAILED, "its worker died again and again")

    bench(test)


def test_only_so_many_lines_are_kept_and_all_are_counted(
    bench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_LINES", 700)

    async def test(bench: Bench) -> None:
        number = await bench.upload(b"{}\n" * 1600)
        assert total(await bench.run(number)) == (1600, 0, 0, 1600)
        assert [each.line for each in await bench.lines(number)] == list(range(1, 701))

    bench(test)


def test_an_event_that_the_database_does_not_take_fails_alone(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        async with bench.worker.imports.pool.connection() as connection:
            await connection.execute(
                b"""CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF NEW.name = 'poison' THEN
                        RAISE data_exception USING MESSAGE = 'not this one';
                    END IF;
                    RETURN NEW;
                END $$"""
            )
            await connection.execute(
                "CREATE TRIGGER no BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION no()"
            )
        names = ["a", "b", "poison", "c", "poison", "d", "e"]
        number = await bench.upload(ndjson(text_of(name=name) for name in names))
        assert total(await bench.run(number)) == (7, 5, 0, 2)
        lines = await bench.lines(number)
        assert [(each.line, each.reason) for each in lines] == [
            (3, "not-storable: the database does not take it: not this one"),
            (5, "not-storable: the database does not take it: not this one"),
        ]
        assert await bench.counted() == (5, 5, 5, 5)

    bench(test)


# --- with its job, and upkeep -------------------------------------------------------------------------


def test_a_job_leads_to_the_import(settings: Settings) -> None:
    async def main() -> None:
        async with service.worker(settings) as worker:
            bench = Bench(worker, settings)
            number = await bench.upload(ndjson([text_of()]))
            jobs = worker.jobs
            async with worker.imports.pool.connection() as connection, connection.transaction():
                job = await jobs.enqueue(connection, KIND, {"import": str(number)})
            assert job is not None
            stop = asyncio.Event()
            running = asyncio.create_task(worker.run(stop))
            async with asyncio.timeout(20):
                while await jobs.status(job) is not Status.DONE:
                    await asyncio.sleep(0.02)
            stop.set()
            await running
            assert (await bench.read(number)).state is State.DONE

    asyncio.run(main())


def test_uploads_that_nobody_needs_are_removed(bench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tally.worker.imports.ORPHAN_S", -60.0)

    async def test(bench: Bench) -> None:
        spool = bench.worker.imports.spool
        waiting = await bench.upload(ndjson([text_of()]))
        done = await bench.upload(ndjson([text_of()]))
        await bench.run(done)
        for orphan in (done, uuid4()):
            spool.path(orphan).write_bytes(b"")
        await bench.worker.imports.clean()
        assert [path.name for path in spool.folder.iterdir()] == [str(waiting)]

    bench(test)


def test_the_age_of_an_event_is_judged_by_when_the_upload_came(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        number = await bench.upload(ndjson([text_of(at=moment(days=6, hours=23))]))
        async with (
            bench.worker.imports.pool.connection() as connection
        ):  # it has waited in the queue
            await connection.execute("UPDATE imports SET created_at = now() - interval '2 hours'")
        assert total(await bench.run(number)) == (1, 1, 0, 0)

    bench(test)


def test_a_line_whose_fault_cannot_be_written_down_as_it_stands_harms_no_other(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        bad = text_of()[:-1] + b',"\\u0000' + b"k" * 50_000 + b'":1}'
        number = await bench.upload(ndjson([text_of(), bad, text_of()]))
        done = await bench.run(number)
        assert (done.state, total(done)) == (State.DONE, (3, 2, 0, 1))
        (line,) = await bench.lines(number)
        assert (line.line, len(line.reason or "") < 400) == (2, True)

    bench(test)


def test_a_day_that_is_missing_is_opened_for_a_line(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        async with bench.worker.imports.pool.connection() as connection:
            await connection.execute(
                f"DROP TABLE events_{moment(days=3)[:10].replace('-', '')}".encode()
            )
        done = await bench.run(
            await bench.upload(ndjson([text_of(), text_of(at=moment(days=3)), text_of()]))
        )
        assert total(done) == (3, 3, 0, 0)
        assert await bench.counted() == (3, 3, 3, 3)

    bench(test)


def test_a_line_of_a_day_that_is_gone_is_told_and_harms_no_other(bench: Run) -> None:
    """Its upload waited for so long that retention came first."""

    async def test(bench: Bench) -> None:
        number = await bench.upload(ndjson([text_of(), text_of(at=moment(days=20)), text_of()]))
        async with bench.worker.imports.pool.connection() as connection:
            await connection.execute("UPDATE imports SET created_at = %s", (moment(days=15),))
        found = replace(bench.worker.imports.loader.limits, future_s=30 * 86_400.0)
        object.__setattr__(bench.worker.imports.loader, "limits", found)
        done = await bench.run(number)
        assert (done.state, total(done)) == (State.DONE, (3, 2, 0, 1))
        (line,) = await bench.lines(number)
        assert (line.line, line.status) == (2, "rejected")
        assert (line.reason or "").startswith("day-not-open")

    bench(test)


def test_what_ended_long_ago_is_forgotten_with_its_lines(bench: Run) -> None:
    async def test(bench: Bench) -> None:
        old, new = [await bench.upload(ndjson([text_of(), b"{"])) for _ in range(2)]
        await bench.run(old)
        await bench.run(new)
        async with bench.worker.imports.pool.connection() as connection:
            await connection.execute(
                "UPDATE imports SET finished_at = now() - interval '31 days' WHERE id = %s", (old,)
            )
        await bench.worker.imports.clean()
        assert await bench.scalar("SELECT array_agg(id) FROM imports") == [new]
        assert await bench.scalar("SELECT array_agg(DISTINCT import_id) FROM import_lines") == [new]

    bench(test)
