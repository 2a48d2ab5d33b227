"""What the original SDK's client makes to open a WebSocket: URL, signed headers, and a URL that is signed itself.

Run by itself: the original shares its name with our stand-in. Its client refuses hosts that are not AWS's, so it is
told where AWS is.
"""

import json
import sys

import boto3
from bedrock_agentcore.runtime import AgentCoreRuntimeClient, agent_core_runtime_client

host, arn, session_id, access_key, secret, token = sys.argv[1:]
setattr(agent_core_runtime_client, "get_data_plane_endpoint", lambda region: f"https://{host}")  # noqa: B010
client = AgentCoreRuntimeClient("us-west-2", boto3.Session(access_key, secret, token or None, region_name="us-west-2"))
custom = {"X-Amzn-Bedrock-AgentCore-Runtime-Custom-Note": "a b/+é"}
print(
    json.dumps(
        {
            "connection": client.generate_ws_connection(arn, session_id, endpoint_name="DEFAULT"),
            "presigned": client.generate_presigned_url(arn, session_id, "DEFAULT", custom),
        }
    )
)
