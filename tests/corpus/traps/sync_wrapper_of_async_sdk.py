"""The plain method blocks, its twin with an `a` does not."""

import asyncio

from fastapi import FastAPI
from langchain_openai import ChatOpenAI
from llama_index.core import VectorStoreIndex

app = FastAPI()
model = ChatOpenAI(timeout=20)
engine = VectorStoreIndex.from_documents([]).as_query_engine()


@app.get("/query")
async def query(text: str) -> str:
    await asyncio.sleep(0)
    return str(engine.query(text))  # expect: US110 loop


@app.get("/aquery")
async def aquery(text: str) -> str:
    # clean: the twin
    return str(await engine.aquery(text))


@app.get("/invoke")
async def invoke(text: str) -> str:
    await asyncio.sleep(0)
    return str(model.invoke(text))  # expect: US110 loop


@app.get("/ainvoke")
async def ainvoke(text: str) -> str:
    # clean: the twin
    return str(await model.ainvoke(text))
