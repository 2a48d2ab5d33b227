"""Configuration bundles: the reference is outlast's own, the client the real package's."""

from pkgutil import extend_path

from outlast.baggage import ConfigBundleRef
from outlast.compat.original import served_by_original

__path__ = extend_path(__path__, __name__)

__all__ = ["ConfigBundleClient", "ConfigBundleRef"]

__getattr__ = served_by_original(__name__, {"ConfigBundleClient": f"{__name__}.client"})
