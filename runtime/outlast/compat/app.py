"""The original's application class, as outlast's App."""

from __future__ import annotations

from typing import Any

from outlast.app import App


class BedrockAgentCoreApp(App):
    """An App under the name that programs for the original know."""

    def __init__(self, debug: bool = False, lifespan: Any = None, middleware: Any = None) -> None:
        """Take the original's arguments.

        Raises:
            NotImplementedError: ``lifespan`` or ``middleware`` is given, which would silently not run.
        """
        for name, value in (("lifespan", lifespan), ("middleware", middleware)):
            if value:
                raise NotImplementedError(f"outlast's BedrockAgentCoreApp does not support {name} yet")
        super().__init__(debug=debug)
