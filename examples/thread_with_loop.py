"""二つ目の記事の五番目のプログラム：スレッドの中に自前のイベントループ。"""

import asyncio
import threading

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from scripted_model import ScriptedModel, seconds
from strands import Agent, tool

# AgentCore SDKでAPIクライアントを作成
app = BedrockAgentCoreApp()


# デコレーターでタスク本体を進捗管理
@app.async_task
async def background_task():
    await asyncio.sleep(seconds(10))  # ダミー処理


# バックグラウンドで処理を実行する中間関数
def run_in_background(async_task):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(async_task)
    finally:
        loop.close()


# 非同期処理を起動するツール
@tool
def start_async():
    threading.Thread(
        target=run_in_background,
        args=(background_task(),),
        daemon=True,
    ).start()
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
