"""outlastの答え：.start() を呼ぶだけで、ツールはすぐに戻り、タスクは最後まで動く。"""

import asyncio

from scripted_model import ScriptedModel, seconds
from strands import Agent, tool

from outlast import App

app = App()


# デコレーターでタスク本体を進捗管理
@app.async_task
async def background_task():
    await asyncio.sleep(seconds(10))  # ダミー処理
    return "バックグラウンドタスクが完了しました"


# 非同期タスクを起動するツール
@tool
def start_async():
    background_task.start()
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
