"""The original's application class, as outlast's App."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from outlast.app import App, Handler
from outlast.compat import config_bundles
from outlast.compat.internals import Internals
from outlast.compat.request_context import RequestContext, as_starlette
from outlast.compat.starlette_front import InheritsStarlette

#: The key of ``handlers`` under which the original keeps the entrypoint.
MAIN = "main"


class BedrockAgentCoreApp(InheritsStarlette, Internals, App):
    """An App under the name, and with the attributes, that programs for the original know."""

    def __init__(
        self,
        debug: bool = False,
        lifespan: Callable[[Any], Any] | None = None,
        middleware: Iterable[Any] | None = None,
    ) -> None:
        #: The entrypoint, under ``main``; a program may put another one there at any time.
        self.handlers: dict[str, Callable[..., Any]] = {}
        #: Fetches configuration bundles; None until one is asked for.
        self._config_client: Any = None
        self.config_bundles = config_bundles.for_new_app(self._get_config_client)
        super().__init__(debug, lifespan, middleware)

    @property
    def entrypoint_handler(self) -> Callable[..., Any] | None:
        """The function that ``POST /invocations`` calls: that of ``handlers``."""
        return self.handlers.get(MAIN)

    @entrypoint_handler.setter
    def entrypoint_handler(self, function: Callable[..., Any] | None) -> None:
        if function is None:
            self.handlers.pop(MAIN, None)
        else:
            self.handlers[MAIN] = function

    def entrypoint(self, function: Handler) -> Handler:
        """Have ``function(payload)`` or ``function(payload, context)`` answer ``POST /invocations``.

        The function is given ``run(port, host)``, which is the app's; where it takes no attributes, it is not.
        """
        super().entrypoint(function)
        with contextlib.suppress(AttributeError, TypeError):
            function.run = self.run  # type: ignore[attr-defined]
        return function

    def _get_config_client(self) -> Any:
        if self._config_client is None:
            self._config_client = config_bundles.make_client()
        return self._config_client

    def make_context(self, session_id: str | None, request_headers: dict[str, str] | None, request: Any) -> Any:
        """Return what a handler gets as ``context``."""
        return RequestContext(
            session_id=session_id, request_headers=request_headers, request=as_starlette(request, self)
        )
