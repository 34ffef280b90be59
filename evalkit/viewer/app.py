"""The server's addresses: each asks a page or a piece of one, in a thread, and sends it.

/                 the list of runs: ?q=words&page=2
/run?id=          one run                 /compare?run=A&run=B   runs against the first
/items?run=&task= letters of all items; &chunk=N their texts, &find=text their numbers
/report?run=      the whole report        /boards, /board/NAME/  leaderboards
/events?id=       server-sent events: "changed" when the run, or without id any run, did

A run is named by its id, which is looked up in the listing of the folder; a board's file by its place in the built
site, which it cannot leave. No path is ever made of what a browser sends otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from evalkit.contract.errors import UserError
from evalkit.render.samples import compact
from evalkit.viewer import pages
from evalkit.viewer.guard import Guard
from evalkit.viewer.items import Items
from evalkit.viewer.made import Made
from evalkit.viewer.runs import Entry, Folder

LOOK_S = 1.0
"""Between two looks at the folder, while a page is open."""
SILENCE_S = 15.0
"""So long an open page hears nothing before it is told that the server is there."""
MOST_COMPARED = 8
MOST_SEARCHED = 500
"""Characters of a search."""


def application(folder: Folder, made: Made, token: str, cookie: str, ended: Callable[[], bool]) -> ASGIApp:
    """The pages over ``folder``. ``ended``: whether the server is about to stop, which ends open streams."""
    site = _Site(folder, made, ended)
    routes = [
        Route("/", site.page(site.listing)),
        Route("/run", site.page(site.run)),
        Route("/compare", site.page(site.compare)),
        Route("/boards", site.page(lambda request: pages.boards(folder))),
        Route("/report", site.file(site.report)),
        Route("/board/{name}/{file:path}", site.file(site.board)),
        Route("/board/{name}", lambda request: RedirectResponse(f"/board/{request.path_params['name']}/")),
        Route("/items", site.items),
        Route("/events", site.events),
    ]
    return Guard(Starlette(routes=routes), token, cookie)


class _Site:
    def __init__(self, folder: Folder, made: Made, ended: Callable[[], bool]) -> None:
        self._folder = folder
        self._made = made
        self._ended = ended
        self._items = Items()

    # -- what answers ------------------------------------------------------------------------------------------------

    def page(self, make: Callable[[Request], str]) -> Callable[[Request], Awaitable[Response]]:
        """An answer with a page; a UserError becomes a page that says so."""

        async def answer(request: Request) -> Response:
            try:
                text, status = await run_in_threadpool(make, request), 200
            except UserError as error:
                text = await run_in_threadpool(pages.message, self._folder, "Not to be shown", str(error))
                status = 404
            return HTMLResponse(
                text.encode("utf-8", "replace"),
                status,
                {"Content-Security-Policy": f"{pages.policy()}; frame-ancestors 'none'"},
            )

        return answer

    def file(self, find: Callable[[Request], Any]) -> Callable[[Request], Awaitable[Response]]:
        """An answer with a page that was made before, which brings a policy of its own."""

        async def answer(request: Request) -> Response:
            try:
                path = await run_in_threadpool(find, request)
            except UserError as error:
                text = await run_in_threadpool(pages.message, self._folder, "Not to be shown", str(error))
                return HTMLResponse(text.encode("utf-8", "replace"), 404, {"Content-Security-Policy": pages.policy()})
            return FileResponse(path)

        return answer

    async def items(self, request: Request) -> Response:
        """Letters, texts or numbers of items as JSON."""
        try:
            found = await run_in_threadpool(lambda: compact(self._items_of(request)))
            return Response(found, media_type="application/json")
        except UserError as error:
            return JSONResponse({"error": str(error)}, 404)

    async def events(self, request: Request) -> Response:
        """A stream that says when to look again."""
        id = request.query_params.get("id")
        try:
            await run_in_threadpool(self._version, id)
        except UserError as error:
            return JSONResponse({"error": str(error)}, 404)
        return StreamingResponse(self._changes(request, id), media_type="text/event-stream")

    # -- what they show ----------------------------------------------------------------------------------------------

    def listing(self, request: Request) -> str:
        """The list of runs."""
        number = request.query_params.get("page", "1")
        query = request.query_params.get("q", "")[:MOST_SEARCHED]
        return pages.runs(self._folder, query, int(number) if number.isascii() and number.isdecimal() else 1)

    def run(self, request: Request) -> str:
        """One run."""
        return pages.run(self._folder, self._folder.entry(request.query_params.get("id", "")))

    def compare(self, request: Request) -> str:
        """Two runs or more."""
        entries = self._entries(request)
        if len(entries) < 2:
            raise UserError("mark two runs or more in the list to compare them")
        allowed = request.query_params.get("allow_mismatch") == "1"
        try:
            found, problem = self._made.comparison(entries, allowed), ""
        except UserError as error:
            found, problem = None, str(error)
        return pages.compare(self._folder, entries, found, problem, "--allow-mismatch" in problem, allowed)

    def report(self, request: Request) -> Any:
        """The file of a report."""
        return self._made.report(self._entries(request))

    def board(self, request: Request) -> Any:
        """A file of a board."""
        entries = list(self._folder.entries().values())
        return self._made.board(request.path_params["name"], request.path_params["file"], entries)

    def _items_of(self, request: Request) -> Any:
        asked = request.query_params
        entries = self._entries(request)
        task = asked.get("task", "")
        metric = next((one["metric"] for one in pages.manifest(entries)["tasks"] if one["name"] == task), None)
        if metric is None:
            raise UserError(f"{task[:200]}: no samples of this task")
        table = self._items.table(entries, task, metric)
        if (text := asked.get("find")) is not None:
            return table.find(text[:MOST_SEARCHED])
        if (chunk := asked.get("chunk")) is not None:
            return table.chunk(int(chunk) if chunk.isascii() and chunk.isdecimal() and len(chunk) < 10 else 1 << 30)
        return {"codes": table.codes()}

    def _entries(self, request: Request) -> list[Entry]:
        ids = list(dict.fromkeys(request.query_params.getlist("run")))
        if not 1 <= len(ids) <= MOST_COMPARED:
            raise UserError(f"{len(ids)} runs are asked for: choose one to {MOST_COMPARED}")
        return [self._folder.entry(id) for id in ids]

    def _version(self, id: str | None) -> str:
        return self._folder.version() if id is None else self._folder.standing(id)

    async def _changes(self, request: Request, id: str | None) -> AsyncIterator[str]:
        seen, silent = await run_in_threadpool(self._version, id), 0.0
        yield "retry: 2000\n\n"
        while not self._ended():
            await asyncio.sleep(LOOK_S)
            silent += LOOK_S
            try:
                now = await run_in_threadpool(self._version, id)
            except UserError:
                now = "gone"
            if now != seen:
                seen, silent = now, 0.0
                yield "event: changed\ndata: \n\n"
            elif silent >= SILENCE_S:
                silent = 0.0
                yield ": \n\n"
            if now == "gone" or await request.is_disconnected():
                return
