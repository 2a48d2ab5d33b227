"""The conversion of values for JSON, where programs import it from this module."""

from outlast.payload import convert_complex_objects

__all__ = ["convert_complex_objects", "is_valid_partition"]


def is_valid_partition(partition: str) -> bool:
    """Tell whether AWS has a partition of this name; needs the real package, which asks botocore."""
    from bedrock_agentcore._utils.endpoints import known_partitions

    return partition in known_partitions()
