"""The request's context, where programs import it from this module."""

from outlast.compat.context import BedrockAgentCoreContext
from outlast.compat.refusal import refuse_unknown
from outlast.context import RequestContext

__all__ = ["BedrockAgentCoreContext", "RequestContext"]

__getattr__ = refuse_unknown(__name__, __all__)
