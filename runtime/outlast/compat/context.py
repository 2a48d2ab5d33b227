"""The original's access to the request from anywhere in a program, on outlast's own context.

There is one truth, the current Invocation: what a program sets here shows in the log lines and tasks that follow, and
ends with the request that it was set in.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from outlast.baggage import ConfigBundleRef
from outlast.compat import config_bundles
from outlast.context import Invocation, current_invocation
from outlast.core.validation import MAX_ID, check_text
from outlast.headers import IDENTITY_TOKEN, OAUTH2_CALLBACK_URL, WORKLOAD_ACCESS_TOKEN

#: What is known where no request is: an invocation that nobody made.
_NONE = Invocation("")

#: What gives the configuration in place of the bundle that the request names.
_bundle_loader: ContextVar[Callable[[], dict[str, Any]] | None] = ContextVar("outlast_bundle_loader", default=None)


class BedrockAgentCoreContext:
    """What is known of the request that the calling code runs for; None outside of one."""

    @classmethod
    def get_request_id(cls) -> str | None:
        """Return the request id."""
        return _current().request_id or None

    @classmethod
    def get_session_id(cls) -> str | None:
        """Return the session id."""
        return _current().session_id or None

    @classmethod
    def set_request_context(cls, request_id: str, session_id: str | None = None) -> None:
        """Set both ids.

        Raises:
            InvalidField: one is no text that could be kept with a task.
        """
        _change(
            request_id=check_text("request_id", request_id or "", MAX_ID),
            session_id=check_text("session_id", session_id or "", MAX_ID),
        )

    @classmethod
    def get_workload_access_token(cls) -> str | None:
        """Return the workload access token; the newer of its two headers wins."""
        credentials = _current().credentials
        return credentials.get(IDENTITY_TOKEN) or credentials.get(WORKLOAD_ACCESS_TOKEN)

    @classmethod
    def set_workload_access_token(cls, token: str) -> None:
        """Set the workload access token."""
        credentials = {**_current().credentials, IDENTITY_TOKEN: token}
        credentials.pop(WORKLOAD_ACCESS_TOKEN, None)
        _change(credentials=credentials)

    @classmethod
    def get_oauth2_callback_url(cls) -> str | None:
        """Return the address that an OAuth2 flow comes back to."""
        return _current().credentials.get(OAUTH2_CALLBACK_URL)

    @classmethod
    def set_oauth2_callback_url(cls, workload_callback_url: str) -> None:
        """Set the address that an OAuth2 flow comes back to."""
        _change(credentials={**_current().credentials, OAUTH2_CALLBACK_URL: workload_callback_url})

    @classmethod
    def get_request_headers(cls) -> dict[str, str] | None:
        """Return the request headers that may reach agent code."""
        return _current().request_headers

    @classmethod
    def set_request_headers(cls, headers: dict[str, str]) -> None:
        """Set the request headers that may reach agent code."""
        _change(request_headers=headers)

    @classmethod
    def get_routing_experiment_arn(cls) -> str | None:
        """Return the ARN of the routing experiment."""
        return _current().baggage.experiment_arn

    @classmethod
    def get_routing_experiment_variant(cls) -> str | None:
        """Return the name of the routing experiment's variant."""
        return _current().baggage.experiment_variant

    @classmethod
    def set_routing_experiment(cls, arn: str | None, variant: str | None) -> None:
        """Set the routing experiment."""
        _change(baggage=replace(_current().baggage, experiment_arn=arn, experiment_variant=variant))

    @classmethod
    def get_config_bundle_ref(cls) -> ConfigBundleRef | None:
        """Return which configuration bundle the request names."""
        return _current().baggage.config_bundle

    @classmethod
    def set_config_bundle_ref(cls, ref: ConfigBundleRef | None) -> None:
        """Set which configuration bundle is the request's."""
        _change(baggage=replace(_current().baggage, config_bundle=ref))

    @classmethod
    def get_config_bundle(cls) -> dict[str, Any]:
        """Return this runtime's configuration in the request's bundle; empty when the request names none.

        It blocks while a version is fetched for the first time; what the fetch raises comes through.

        Raises:
            ImportError: there is a bundle, and the original is not installed, whose client fetches it.
        """
        if loader := _bundle_loader.get():
            return loader()
        ref = cls.get_config_bundle_ref()
        return config_bundles.of_this_process().resolve(ref) if ref else {}

    @classmethod
    def _set_bundle_loader(cls, fetcher: Callable[[], dict[str, Any]]) -> None:
        """Have ``fetcher`` give the configuration, whatever the request names."""
        _bundle_loader.set(fetcher)

    @classmethod
    def _clear_bundle_loader(cls) -> None:
        """Have no configuration, whatever the request names."""
        _bundle_loader.set(dict)


def _current() -> Invocation:
    return current_invocation.get() or _NONE


def _change(**fields: Any) -> None:
    # The list of tasks is the invocation's, whatever it is called from here on; where there is none, none is shared.
    current = current_invocation.get() or Invocation("")
    current_invocation.set(replace(current, **fields))
