"""outlast's stand-in for the package of this name; submodules that it lacks come from the real one, if installed."""

from pkgutil import extend_path

from outlast.compat.app import BedrockAgentCoreApp
from outlast.compat.context import BedrockAgentCoreContext
from outlast.compat.refusal import refuse_unknown
from outlast.context import RequestContext
from outlast.ping import PingStatus

__all__ = ["BedrockAgentCoreApp", "BedrockAgentCoreContext", "PingStatus", "RequestContext"]

__path__ = extend_path(__path__, __name__)
__getattr__ = refuse_unknown(__name__, __all__)
