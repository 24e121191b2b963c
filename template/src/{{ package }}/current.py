"""The settings as they are now: what was rotated is taken up without a restart."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from .environment import EnvironmentSettings
from .measures import MEASURES, Measure
from .startup import StartError

logger = logging.getLogger(__name__)
S_co = TypeVar("S_co", bound=EnvironmentSettings, covariant=True)
Listener = Callable[[], Awaitable[None]]

REFRESHES: Counter[tuple[str, ...]] = Counter({("changed",): 0, ("same",): 0, ("failed",): 0})
"""How often the settings were read again: they had `changed`, were the `same`, or it `failed`."""

MEASURES.append(
    Measure("settings_refreshes", "Times the settings were read again", "counter", ("outcome",), REFRESHES.copy)
)


class CurrentSettings(Generic[S_co]):
    """Hands out the settings. Whoever uses a secret asks at that moment, and keeps nothing."""

    def __init__(self, settings: S_co, read: Callable[[], S_co] | None = None) -> None:
        """Begin with these settings; `read` is called in a thread to read them again, if they can be."""
        self._settings = self._before = settings
        self._read = read or self
        self._refreshing: asyncio.Task[None] | None = None
        self._changes: list[asyncio.Event] = []

    def __call__(self) -> S_co:
        """Return the settings."""
        return self._settings

    @property
    def before(self) -> S_co:
        """The settings before the last change, which connections may still use."""
        return self._before

    @asynccontextmanager
    async def notifying(self, listener: Listener) -> AsyncGenerator[None]:
        """Call a listener, in a task of its own, after a change; what changes meanwhile is one more change."""
        changed = asyncio.Event()
        task = asyncio.create_task(_tell(listener, changed))
        self._changes.append(changed)
        try:
            yield
        finally:
            self._changes.remove(changed)
            task.cancel()
            await asyncio.wait([task])

    async def refresh(self) -> None:
        """Read the settings again; of several who ask at once, one reads for all.

        Where they cannot be read or are not right, they stay as they are.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        try:
            settings = await asyncio.to_thread(self._read)
        except Exception as error:  # noqa: BLE001 - whatever it is, the service goes on with what it has
            reason = str(error) if isinstance(error, StartError) else type(error).__name__
            REFRESHES["failed",] += 1
            logger.warning("the settings stay as they are", extra={"reason": reason})
            return
        fields = type(settings).model_fields
        changed = [name.upper() for name in fields if getattr(settings, name) != getattr(self._settings, name)]
        REFRESHES["changed" if changed else "same",] += 1
        if changed:
            self._before, self._settings = self._settings, settings
            logger.info("settings have changed", extra={"changed": changed})
            for change in self._changes:
                change.set()


async def _tell(listener: Listener, changed: asyncio.Event) -> None:
    while True:
        await changed.wait()
        changed.clear()
        try:
            await listener()
        except Exception:
            logger.exception("a change of settings was not taken up")
