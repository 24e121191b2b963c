"""Is the process alive, can it do its work, and which version is it?

Liveness never looks at anything outside the process: a database that is away is no reason to
restart every pod. Readiness asks every dependency.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from .settings import Settings
from .version import service_version

Check = Callable[[], Awaitable[object]]
Status = Literal["ok", "degraded", "unavailable"]


class Report(BaseModel):
    """The state of the service; a check that fails is named with the class of its error."""

    status: Status
    checks: dict[str, str] = {}


class Version(BaseModel):
    """What is running."""

    version: str
    commit: str
    built: str


class Readiness:
    """Asks all dependencies at once, each for at most `timeout` seconds.

    The answer is kept for `keep` seconds and shared by everybody who asks meanwhile, so that
    probes cannot overload what they probe.
    """

    def __init__(self, *, timeout: float = 1.0, keep: float = 2.0) -> None:
        self.draining = False
        self._timeout = timeout
        self._keep = keep
        self._checks: dict[str, tuple[Check, bool]] = {}
        self._lock = asyncio.Lock()
        self._report = Report(status="ok")
        self._expires = float("-inf")

    def register(self, name: str, check: Check, *, required: bool = True) -> None:
        """Ask `check` from now on; without a dependency that is not required the service is degraded."""
        self._checks[name] = (check, required)
        self._expires = float("-inf")

    async def report(self) -> Report:
        """Return the state of the service and of each dependency."""
        async with self._lock:
            if time.monotonic() >= self._expires:
                self._report = await self._ask()
                self._expires = time.monotonic() + self._keep
        if self.draining:
            return Report(status="unavailable", checks=self._report.checks | {"shutdown": "draining"})
        return self._report

    async def _ask(self) -> Report:
        checks = dict(self._checks)
        answers = await asyncio.gather(*(self._state(check) for check, _ in checks.values()))
        states = dict(zip(checks, answers, strict=True))
        failed = {name for name, state in states.items() if state != "ok"}
        status: Status = "degraded" if failed else "ok"
        if any(checks[name][1] for name in failed):
            status = "unavailable"
        return Report(status=status, checks=states)

    async def _state(self, check: Check) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                await check()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            return type(error).__name__
        return "ok"


def router(settings: Settings, readiness: Readiness) -> APIRouter:
    """Return the routes that tell about the service."""
    routes = APIRouter(tags=["health"])
    running = Version(version=service_version(), commit=settings.git_commit, built=settings.build_time)

    @routes.get("/livez")
    async def livez() -> Report:
        return Report(status="ok")

    async def readyz(response: Response) -> Report:
        report = await readiness.report()
        if report.status == "unavailable":
            response.status_code = 503
        return report

    for path in ("/readyz", "/health"):
        routes.get(path, responses={503: {"model": Report}})(readyz)

    @routes.get("/version")
    async def read_version() -> Version:
        return running

    return routes
