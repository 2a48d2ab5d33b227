"""The request's context, where programs import it from this module."""

from outlast.baggage import ConfigBundleRef
from outlast.compat.context import BedrockAgentCoreContext
from outlast.compat.request_context import RequestContext

__all__ = ["BedrockAgentCoreContext", "ConfigBundleRef", "RequestContext"]
