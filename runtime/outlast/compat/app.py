"""The original's application class, as outlast's App."""

from __future__ import annotations

from outlast.app import App


class BedrockAgentCoreApp(App):
    """An App under the name that programs for the original know."""
