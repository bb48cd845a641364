"""Dependencies that belong in a thread, or are in none."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

engine = create_engine("sqlite:///app.db")
app = FastAPI()


async def paging(offset: int = 0, limit: int = 50) -> tuple[int, int]:
    # clean: it runs on the loop, for nothing
    return offset, min(limit, 200)


def session() -> Iterator[Session]:
    # clean: it blocks
    with Session(engine) as found:
        yield found


def user(found: Annotated[Session, Depends(session)]) -> object:
    # clean: it asks the database
    return found.execute("select 1").first()


@app.get("/orders")
def orders(page: Annotated[tuple[int, int], Depends(paging)], who: Annotated[object, Depends(user)]) -> str:
    # clean: an endpoint may do more than is seen
    return f"{who} {page}"
