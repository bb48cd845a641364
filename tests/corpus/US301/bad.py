"""Plain defs that only compute a value."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException

app = FastAPI()


def paging(offset: int = 0, limit: int = 50) -> tuple[int, int]:  # expect: US301 thread pool
    return offset, min(limit, 200)


def tenant(x_tenant: Annotated[str, Header()]) -> str:  # expect: US301 thread pool
    if not x_tenant.isalnum():
        raise HTTPException(400)
    return x_tenant.lower()


def language(accept_language: Annotated[str, Header()] = "en") -> str:  # expect: US301 thread pool
    return accept_language.split(",")[0]


@app.get("/orders")
async def orders(page: Annotated[tuple[int, int], Depends(paging)], of: Annotated[str, Depends(tenant)]) -> str:
    return f"{of} {page}"


@app.get("/items")
async def items(page: Annotated[tuple[int, int], Depends(paging)], spoken: Annotated[str, Depends(language)]) -> str:
    return f"{spoken} {page}"
