"""The ping status, the header names and the header rules, where programs import them from this module."""

from outlast.baggage import EXPERIMENT_ARN as BAGGAGE_KEY_EXPERIMENT_ARN
from outlast.baggage import EXPERIMENT_VARIANT as BAGGAGE_KEY_EXPERIMENT_VARIANT
from outlast.headers import AUTHORIZATION as AUTHORIZATION_HEADER
from outlast.headers import CUSTOM_PREFIX as CUSTOM_HEADER_PREFIX
from outlast.headers import IDENTITY_TOKEN as IDENTITY_WAT_HEADER
from outlast.headers import OAUTH2_CALLBACK_URL as OAUTH2_CALLBACK_URL_HEADER
from outlast.headers import REQUEST_ID as REQUEST_ID_HEADER
from outlast.headers import RESTRICTED_HEADERS, is_forwardable_header
from outlast.headers import SESSION_ID as SESSION_HEADER
from outlast.headers import WORKLOAD_ACCESS_TOKEN as ACCESS_TOKEN_HEADER
from outlast.ping import PingStatus

__all__ = [
    "ACCESS_TOKEN_HEADER",
    "AGENTCORE_RUNTIME_URL_ENV",
    "AUTHORIZATION_HEADER",
    "BAGGAGE_KEY_EXPERIMENT_ARN",
    "BAGGAGE_KEY_EXPERIMENT_VARIANT",
    "CUSTOM_HEADER_PREFIX",
    "IDENTITY_WAT_HEADER",
    "OAUTH2_CALLBACK_URL_HEADER",
    "REQUEST_ID_HEADER",
    "RESTRICTED_HEADERS",
    "SESSION_HEADER",
    "SHELL_ID_HEADER",
    "TASK_ACTION_CLEAR_FORCED_STATUS",
    "TASK_ACTION_FORCE_BUSY",
    "TASK_ACTION_FORCE_HEALTHY",
    "TASK_ACTION_JOB_STATUS",
    "TASK_ACTION_PING_STATUS",
    "PingStatus",
    "is_forwardable_header",
]

SHELL_ID_HEADER = "X-Amzn-Bedrock-AgentCore-Shell-Id"
AGENTCORE_RUNTIME_URL_ENV = "AGENTCORE_RUNTIME_URL"

TASK_ACTION_PING_STATUS = "ping_status"
TASK_ACTION_JOB_STATUS = "job_status"
TASK_ACTION_FORCE_HEALTHY = "force_healthy"
TASK_ACTION_FORCE_BUSY = "force_busy"
TASK_ACTION_CLEAR_FORCED_STATUS = "clear_forced_status"

# The real package's A2A and AG-UI apps, which run on this module, import these.
_AUTHORIZATION_HEADER_LOWER = AUTHORIZATION_HEADER.lower()
_CUSTOM_HEADER_PREFIX_LOWER = CUSTOM_HEADER_PREFIX.lower()
_IDENTITY_WAT_HEADER_LOWER = IDENTITY_WAT_HEADER.lower()
