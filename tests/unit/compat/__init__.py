"""The stand-in for bedrock_agentcore."""
