"""二つ目の記事の最後の願い：@app.async_task が同期関数に対応する。呼ぶ、.start() する、スレッドで動かす。"""

import threading
import time

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from scripted_model import ScriptedModel, seconds
from strands import Agent, tool

# AgentCore SDKでAPIクライアントを作成
app = BedrockAgentCoreApp()


# デコレーターでタスク本体を進捗管理：普通の同期関数でよい
@app.async_task
def background_task():
    time.sleep(seconds(10))  # ダミー処理
    return "バックグラウンドタスクが完了しました"


@tool
def call_it():
    """呼べば、その場で動き、終了を待つ。"""
    return background_task()


@tool
def start_it():
    """バックグラウンドで動かし、すぐに戻る。"""
    background_task.start()
    return "バックグラウンドタスクを開始しました"


@tool
def thread_it():
    """自前のスレッドで動かしても、追跡される。"""
    threading.Thread(target=background_task, daemon=True).start()
    return "バックグラウンドタスクを開始しました"


# Strandsでエージェントを作成：プロンプトに書いた名前のツールが呼ばれる
agent = Agent(model=ScriptedModel(), tools=[start_it, call_it, thread_it])  # Bedrockを使うには model= を消す


# APIサーバーのエントリーポイントを作成
@app.entrypoint
def invoke(payload):
    prompt = payload.get("prompt")
    return agent(prompt)


# APIサーバーを起動
if __name__ == "__main__":
    app.run()
