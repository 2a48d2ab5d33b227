"""The one place that converts between the domain's values (``outlast.core``) and messages (``outlast.v1``)."""
