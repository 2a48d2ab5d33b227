"""outlast's stand-in for the runtime; the names that are no part of an agent process come from the real package."""

from pkgutil import extend_path

from outlast.compat.original import is_installed, served_by_original

__path__ = extend_path(__path__, __name__)

from . import utils as utils
from .app import BedrockAgentCoreApp
from .context import BedrockAgentCoreContext, RequestContext
from .models import PingStatus

_HOMES = {
    "WaitConfig": "bedrock_agentcore._utils.config",
    "AgentCoreRuntimeClient": f"{__name__}.agent_core_runtime_client",
    **dict.fromkeys(
        (
            "AuthMode",
            "OAuthAuth",
            "PresignedAuth",
            "ReconnectConfig",
            "ShellChannel",
            "ShellFrame",
            "ShellFramer",
            "ShellSession",
        ),
        f"{__name__}.shell",
    ),
    **dict.fromkeys(
        ("BedrockCallContextBuilder", "build_a2a_app", "build_runtime_url", "serve_a2a"), f"{__name__}.a2a"
    ),
    **dict.fromkeys(("AGUIApp", "build_ag_ui_app", "serve_ag_ui"), f"{__name__}.ag_ui"),
}

__all__ = ["BedrockAgentCoreApp", "BedrockAgentCoreContext", "PingStatus", "RequestContext"]
if is_installed():
    __all__ += _HOMES

#: The submodules are loaded by `import bedrock_agentcore.runtime` in the original, and here by the first use.
__getattr__ = served_by_original(
    __name__,
    _HOMES | {name: f"{__name__}.{name}" for name in ("agent_core_runtime_client", "shell", "tracing")},
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
