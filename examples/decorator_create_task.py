"""二つ目の記事の二番目のプログラム：デコレーターと asyncio.create_task、エージェントなし。"""

import asyncio

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from scripted_model import seconds

# AgentCore SDKでAPIクライアントを作成
app = BedrockAgentCoreApp()


# 非同期タスクを実行する関数
@app.async_task
async def async_task():
    await asyncio.sleep(seconds(10))  # ダミー処理
    return "バックグラウンドタスクを完了しました"


# APIサーバーのエントリーポイントを作成
@app.entrypoint
async def handler(event):
    asyncio.create_task(async_task())
    return "バックグラウンドタスクを開始しました"


# APIサーバーを起動
if __name__ == "__main__":
    app.run()
