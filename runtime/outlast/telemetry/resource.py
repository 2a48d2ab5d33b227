"""What the spans and the metrics of this process come from. Imports the OpenTelemetry SDK."""

from __future__ import annotations

from opentelemetry.sdk.resources import SERVICE_NAME, Resource

from outlast.telemetry import variables


def make_resource(service_name: str) -> Resource:
    """Return the resource that the environment describes; ``service_name`` where it does not name the service."""
    resource = Resource.create()
    return resource if variables.service_named() else resource.merge(Resource({SERVICE_NAME: service_name}))
