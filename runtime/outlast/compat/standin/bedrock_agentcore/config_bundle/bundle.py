"""The reference to a configuration bundle, where programs and the real package import it from this module."""

from typing import Any

from outlast.baggage import ConfigBundleRef

#: Configurations by component.
ConfigBundleComponents = dict[str, dict[str, Any]]

__all__ = ["ConfigBundleComponents", "ConfigBundleRef"]
