"""二つ目の記事の四番目のプログラム：ツールの中の asyncio.create_task。元のSDKでは一秒で消える。"""

import asyncio

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from scripted_model import ScriptedModel, seconds
from strands import Agent, tool

# AgentCore SDKでAPIクライアントを作成
app = BedrockAgentCoreApp()


# デコレーターでタスク本体を進捗管理
@app.async_task
async def background_task():
    await asyncio.sleep(seconds(10))  # ダミー処理
    return "バックグラウンドタスクが完了しました"


# 非同期タスクを起動するツール
@tool
async def start_async():
    asyncio.create_task(background_task())
    return "バックグラウンドタスクを開始しました"


# Strandsでエージェントを作成
agent = Agent(model=ScriptedModel(), tools=[start_async])  # Bedrockを使うには model= を消す


# APIサーバーのエントリーポイントを作成
@app.entrypoint
def invoke(payload):
    prompt = payload.get("prompt")
    return agent(prompt)


# APIサーバーを起動
if __name__ == "__main__":
    app.run()
