"""The complete example of the first document: a task tracked by hand, on a daemon thread."""

import threading
import time

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from scripted_model import ScriptedModel, seconds
from strands import Agent, tool

# Initialize app with debug mode for task management
app = BedrockAgentCoreApp()


@tool
def start_background_task(duration: int = 5) -> str:
    """Start a simple background task that runs for specified duration."""
    # Start tracking the async task
    task_id = app.add_async_task("background_processing", {"duration": duration})

    # Run task in background thread
    def background_work():
        time.sleep(duration)  # Simulate work
        app.complete_async_task(task_id)  # Mark as complete

    threading.Thread(target=background_work, daemon=True).start()
    return f"Started background task (ID: {task_id}) for {duration} seconds. Agent status is now BUSY."


# Create agent with the tool
agent = Agent(model=ScriptedModel({"duration": int(seconds(3))}), tools=[start_background_task])  # Bedrock: drop model=


@app.entrypoint
def main(payload):
    """Main entrypoint - handles user messages."""
    user_message = payload.get("prompt", "Try: start_background_task(3)")
    return {"message": agent(user_message).message}


if __name__ == "__main__":
    print("🚀 Simple Async Strands Example")
    print(
        "Test: curl -X POST http://localhost:8080/invocations "
        "-H 'Content-Type: application/json' -d '{\"prompt\": \"start a 3 second task\"}'"
    )
    app.run()
