"""outlast's stand-in for the package of this name; submodules that it lacks come from the real one, if installed."""

from pkgutil import extend_path

from outlast.compat.original import MissingOriginal, served_by_original

__path__ = extend_path(__path__, __name__)
MissingOriginal.announce()

from .runtime import (  # noqa: E402 (what is above has to be there first)
    BedrockAgentCoreApp,
    BedrockAgentCoreContext,
    PingStatus,
    RequestContext,
)

__all__ = ["BedrockAgentCoreApp", "BedrockAgentCoreContext", "PingStatus", "RequestContext"]

#: What `import bedrock_agentcore` loads in the original, and here the first use.
__getattr__ = served_by_original(__name__, {name: f"{__name__}.{name}" for name in ("_utils", "config_bundle")})
