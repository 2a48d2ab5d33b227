"""二つ目の記事の三番目のプログラム：一つの関数に @tool と @app.async_task。Pythonの仕様どおり、終了を待つ。"""

import asyncio

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from scripted_model import ScriptedModel, seconds
from strands import Agent, tool

# AgentCore SDKでAPIクライアントを作成
app = BedrockAgentCoreApp()


# 非同期タスクを起動するツール
@tool
@app.async_task
async def start_async(**kwargs):
    await asyncio.sleep(seconds(10))  # ダミー処理
    return "バックグラウンドタスクが完了しました"


# Strandsでエージェントを作成
agent = Agent(model=ScriptedModel({"kwargs": {}}), tools=[start_async])  # Bedrockを使うには model= を消す


# APIサーバーのエントリーポイントを作成
@app.entrypoint
def invoke(payload):
    prompt = payload.get("prompt")
    return agent(prompt)


# APIサーバーを起動
if __name__ == "__main__":
    app.run()
