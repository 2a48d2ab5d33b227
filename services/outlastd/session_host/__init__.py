"""The session host: one agent process per session, behind the client API of Amazon Bedrock AgentCore Runtime."""
