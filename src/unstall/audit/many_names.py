"""Names of what gives many things, and of what passes on as many as it was given."""

from __future__ import annotations

_TREE = "every file of a tree"
_FOLDER = "all that a folder holds"
_ARCHIVE = "all that an archive holds"
_PROCESSES = "every process of the machine"
REQUESTS = "all that a request brings"
ROWS_OF_A_QUERY = "all rows of a query"

GIVES = {
    **dict.fromkeys("os.walk os.fwalk pathlib.Path.walk pathlib.Path.rglob".split(), _TREE),
    **dict.fromkeys("anyio.Path.walk anyio.Path.rglob aiofiles.os.walk".split(), _TREE),
    **dict.fromkeys("os.scandir os.listdir glob.glob glob.iglob".split(), _FOLDER),
    **dict.fromkeys("pathlib.Path.iterdir pathlib.Path.glob".split(), _FOLDER),
    **dict.fromkeys("anyio.Path.iterdir anyio.Path.glob".split(), _FOLDER),
    **dict.fromkeys("aiofiles.os.listdir aiofiles.os.scandir".split(), _FOLDER),
    **dict.fromkeys("zipfile.ZipFile.namelist zipfile.ZipFile.infolist".split(), _ARCHIVE),
    **dict.fromkeys("tarfile.TarFile.getmembers tarfile.TarFile.getnames".split(), _ARCHIVE),
    **dict.fromkeys("psutil.process_iter psutil.pids".split(), _PROCESSES),
}
"""Calls that give as many as there are on the machine."""
UNMISTAKABLE = {"rglob": _TREE, "iterdir": _FOLDER}
"""The same of a receiver whose class is not known."""
INSTALLED = (".py", "site-packages", "dist-packages")
"""In a pattern: it finds what was installed, not what somebody put there."""

ASKED_OF_REQUESTS = (
    "Request.json",
    "Request.form",
    "WebSocket.receive_json",
    "QueryParams.getlist",
    "FormData.getlist",
    "FormData.multi_items",
)
"""How names end that give what a request brings."""

ROWS = frozenset(
    "all scalars mappings partitions execute exec fetch find aggregate query iterate to_list stream "
    "stream_scalars distinct fetchmany".split()
)
"""Methods of a database's package that give rows."""
SURE_ROWS = frozenset({"fetchall", "fetch_all", "scalars"})
"""These, whatever they are methods of."""
_DATABASES = frozenset(
    "sqlalchemy sqlmodel asyncpg psycopg psycopg2 psycopg_pool databases motor pymongo beanie tortoise "
    "peewee django aiosqlite sqlite3 aiomysql asyncmy pymysql MySQLdb oracledb duckdb".split()
)

READ_AS = frozenset(
    "json.loads json.load orjson.loads ujson.loads simplejson.loads msgspec.json.decode "
    "yaml.safe_load".split()
)
"""They give what is written in their first argument."""
READ_AS_METHODS = frozenset("model_validate_json parse_raw validate_json".split())
TEXTS_OF_REQUESTS = (
    "Request.body",
    "UploadFile.read",
    "WebSocket.receive_text",
    "WebSocket.receive_bytes",
)
"""How names end that give a text or bytes of a request."""
TEXTS = (".str", ".bytes", ".UploadFile")
"""How classes of parameters end that are read as JSON."""

VIEWS = frozenset(
    "items keys values copy most_common sort all unique decode read "
    "union difference intersection symmetric_difference".split()
)
"""Methods that give as many as their object holds, and what they are passed."""
HOLDS = frozenset("get getlist pop setdefault dict model_dump json".split())
"""Methods that give a part of what their object holds, or another form of it."""
FORMS = frozenset("dict model_dump".split())
"""Of these the ones that give a model by its fields."""
PAIRS = frozenset("items enumerate groupby".split())
"""They give pairs; the second of each is what they go over."""
PASSES_ON = frozenset(
    "enumerate zip reversed iter filter map sorted list tuple set frozenset dict deque chain from_iterable "
    "tqdm batched pairwise groupby Counter fromkeys gather as_completed reduce max min "
    "model_validate parse_obj validate_python deepcopy cast".split()
)
"""Functions that go over what they are given, or give as much."""
RUNS = frozenset("to_thread run_sync run_in_executor run_in_threadpool".split())
"""They give what the function gives that they are handed."""
PUTS = frozenset("append add insert appendleft put put_nowait setdefault".split())
PUTS_ALL = frozenset("extend update extendleft".split())
PUTS_IN_FIRST = frozenset("heappush insort insort_left insort_right".split())
"""Functions whose first argument is the container."""
TAKES = frozenset("pop popleft popitem get_nowait".split())
TAKES_FROM_FIRST = frozenset({"heappop"})


def of_database(name: str) -> bool:
    return name.partition(".")[0] in _DATABASES
