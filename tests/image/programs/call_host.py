"""Does what a client of AgentCore does, with boto3 as it is: ``call_host.py ADDRESS STEPS``, and prints the answers.

STEPS is JSON: ``[["invoke", SESSION, PAYLOAD], ["stop", SESSION], ...]``.
"""

import json
import sys

import boto3

ARN = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/agent-AbCdEf1234"

client = boto3.client(
    "bedrock-agentcore",
    region_name="us-west-2",
    endpoint_url=sys.argv[1],
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="container-secret",
)
answers = []
for what, session, *payload in json.loads(sys.argv[2]):
    if what == "invoke":
        answer = client.invoke_agent_runtime(
            agentRuntimeArn=ARN, runtimeSessionId=session, payload=json.dumps(payload[0]).encode()
        )
        answers.append(json.loads(answer["response"].read()))
    else:
        client.stop_runtime_session(agentRuntimeArn=ARN, runtimeSessionId=session)
print(json.dumps(answers))
