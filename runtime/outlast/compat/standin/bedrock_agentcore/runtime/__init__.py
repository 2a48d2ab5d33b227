"""outlast's stand-in for the runtime: the names that programs for it use."""

from outlast.compat.app import BedrockAgentCoreApp
from outlast.compat.context import BedrockAgentCoreContext
from outlast.compat.refusal import refuse_unknown
from outlast.context import RequestContext
from outlast.ping import PingStatus

__all__ = ["BedrockAgentCoreApp", "BedrockAgentCoreContext", "PingStatus", "RequestContext"]

__getattr__ = refuse_unknown(__name__, __all__)
