"""The ping status and the header names, where programs import them from this module."""

from outlast.compat.refusal import refuse_unknown
from outlast.headers import AUTHORIZATION as AUTHORIZATION_HEADER
from outlast.headers import IDENTITY_TOKEN as IDENTITY_WAT_HEADER
from outlast.headers import OAUTH2_CALLBACK_URL as OAUTH2_CALLBACK_URL_HEADER
from outlast.headers import REQUEST_ID as REQUEST_ID_HEADER
from outlast.headers import SESSION_ID as SESSION_HEADER
from outlast.headers import WORKLOAD_ACCESS_TOKEN as ACCESS_TOKEN_HEADER
from outlast.ping import PingStatus

__all__ = [
    "ACCESS_TOKEN_HEADER",
    "AUTHORIZATION_HEADER",
    "IDENTITY_WAT_HEADER",
    "OAUTH2_CALLBACK_URL_HEADER",
    "REQUEST_ID_HEADER",
    "SESSION_HEADER",
    "PingStatus",
]

__getattr__ = refuse_unknown(__name__, __all__)
