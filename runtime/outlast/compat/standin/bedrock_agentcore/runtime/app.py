"""The application class, where programs import it from this module."""

from outlast.compat.app import BedrockAgentCoreApp
from outlast.compat.refusal import refuse_unknown

__all__ = ["BedrockAgentCoreApp"]

__getattr__ = refuse_unknown(__name__, __all__)
