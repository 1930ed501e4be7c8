"""Each recorded exchange gives LiteLLM's SDK through the gateway what it gives without."""

import asyncio
import logging
import os
import warnings

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from replaying import failed, replay

# What the SDK has arguments of its own for.
OWN = {"model", "stream"}


def plain(answer):
    """An answer without what the SDK makes up: ids and times where the service sent none."""
    got = answer if isinstance(answer, dict) else answer.model_dump(mode="json")
    return {name: value for name, value in got.items() if name not in {"id", "created", "created_at"}}


class LiteLlm:
    name = "litellm"
    apis = {"chat.completions", "embeddings", "messages", "responses"}

    def __init__(self, url, key):
        self.url, self.key = url, key

    def outcome(self, exchange, body):
        try:
            yield from self.answers(exchange, body)
        except Exception as error:
            # What follows in the message are the SDK's own arguments, headers and times among them.
            message = str(error).partition("received_args")[0]
            yield failed(type(error).__name__, getattr(error, "status_code", ""), message)

    def answers(self, exchange, body):
        rest = {name: value for name, value in body.items() if name not in OWN}
        # An answer is cut anew for each ask, and a retry would be one more.
        more = {"api_key": self.key, "num_retries": 0, "max_retries": 0, "drop_params": True}
        base = {"api_base": f"{self.url}/v1", **more}
        model, stream = exchange["model"], exchange["stream"]
        match exchange["api"]:
            case "chat.completions":
                answer = litellm.completion(model=f"openai/{model}", stream=stream, **base, **rest)
            case "embeddings":
                answer = litellm.embedding(model=f"openai/{model}", **base, **rest)
            case "responses":
                answer = litellm.responses(model=f"openai/{model}", stream=stream, **base, **rest)
            case _:
                more["api_base"] = self.url
                yield from asyncio.run(self.messages(model, stream, more, rest))
                return
        if stream:
            for chunk in answer:
                yield plain(chunk)
        else:
            yield plain(answer)

    @staticmethod
    async def messages(model, stream, more, rest):
        rest.setdefault("max_tokens", 1024)
        ask = litellm.anthropic.messages.acreate
        answer = await ask(model=f"anthropic/{model}", stream=stream, **more, **rest)
        if not stream:
            return [dict(answer)]
        return [chunk.decode() if isinstance(chunk, bytes) else chunk async for chunk in answer]


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable()
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    replay(LiteLlm)
