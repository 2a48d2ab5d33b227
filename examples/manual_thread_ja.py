"""二つ目の記事の最初のプログラム：デコレーターなしで、タスクを手動で追跡する。"""

import threading
import time

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from scripted_model import ScriptedModel, seconds
from strands import Agent, tool

# AgentCore SDKでAPIクライアントを作成
app = BedrockAgentCoreApp()


# 非同期タスクを起動するツール
@tool
def start_async():
    # 非同期タスクの追跡を開始
    task_id = app.add_async_task("ダミー処理")

    # バックグラウンドスレッドでタスクを実行
    def background_work():
        time.sleep(seconds(10))  # ダミー処理
        app.complete_async_task(task_id)  # ステータスを完了にする

    threading.Thread(target=background_work, daemon=True).start()
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
