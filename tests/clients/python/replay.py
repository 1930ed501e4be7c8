"""Each recorded exchange gives the makers' own clients through the gateway what it gives without."""

import base64
import logging
import os
import warnings

import anthropic
import boto3
import openai
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent
from botocore.config import Config
from google import genai
from google.genai import types
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from replaying import failed, replay

# By path: what a client makes of an answer and of an event.
KINDS = {
    "/v1/chat/completions": (ChatCompletion, ChatCompletionChunk),
    "/v1/completions": (Completion, Completion),
    "/v1/embeddings": (CreateEmbeddingResponse, None),
    "/v1/messages": (Message, RawMessageStreamEvent),
    "/v1/messages/count_tokens": (MessageTokensCount, None),
    "/v1/responses": (Response, ResponseStreamEvent),
}


def parsed(maker, client, path, exchange, body):
    """The answer or its events, of a client that openai's and anthropic's generator made."""
    whole, event = KINDS[exchange["path"].partition("?")[0]]
    try:
        if body.get("stream"):
            kind = maker.Stream[event]
            for one in client.post(path, cast_to=whole, body=body, stream=True, stream_cls=kind):
                yield one.to_dict(mode="json")
        else:
            yield client.post(path, cast_to=whole, body=body).to_dict(mode="json")
    except maker.APIStatusError as error:
        yield failed(type(error).__name__, error.status_code, error.message, error.body)


class OpenAi:
    name = "openai (Python)"
    apis = {"chat.completions", "completions", "embeddings", "responses"}

    def __init__(self, url, key):
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    def outcome(self, exchange, body):
        return parsed(openai, self.client, exchange["path"].removeprefix("/v1"), exchange, body)


class Anthropic:
    name = "anthropic (Python)"
    apis = {"messages", "count_tokens"}

    def __init__(self, url, key):
        self.client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)

    def outcome(self, exchange, body):
        return parsed(anthropic, self.client, exchange["path"], exchange, body)


class Google:
    name = "google-genai"
    apis = {"gemini.generate", "gemini.stream"}

    def __init__(self, url, key):
        self.client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))

    def outcome(self, exchange, body):
        # The recorded body goes over the one that the client makes.
        options = types.HttpOptions(extra_body=body)
        models, config = self.client.models, types.GenerateContentConfig(http_options=options)
        ask = {"model": exchange["model"], "contents": "x", "config": config}
        if exchange["stream"]:
            for one in models.generate_content_stream(**ask):
                yield self.plain(one)
        else:
            yield self.plain(models.generate_content(**ask))

    @staticmethod
    def plain(answer):
        # The headers differ by the gateway's own.
        return answer.model_dump(mode="json", exclude={"sdk_http_response"}, exclude_none=True)


class Bedrock:
    name = "boto3"
    apis = {"bedrock.converse", "bedrock.converse-stream"}

    def __init__(self, url, key):
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = key
        # Without validation the client takes what was recorded before or after its own time.
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        session = boto3.Session(region_name="us-east-1")
        # The client gives a bearer key to an https address only, and there is no certificate here.
        address = url.replace("http://", "https://")
        self.client = session.client("bedrock-runtime", endpoint_url=address, config=config)
        self.client.meta.events.register("before-send.bedrock-runtime", self.in_plain)

    @staticmethod
    def in_plain(request, **_):
        request.url = request.url.replace("https://", "http://", 1)

    def outcome(self, exchange, body):
        call = self.client.converse_stream if exchange["stream"] else self.client.converse
        answer = call(modelId=exchange["model"], **bytes_of(body))
        answer.pop("ResponseMetadata")
        yield answer if not exchange["stream"] else {}
        for event in answer.pop("stream", ()):
            yield event


def bytes_of(value, name=""):
    """The client wants bytes where JSON has base64."""
    if isinstance(value, dict):
        return {name: bytes_of(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [bytes_of(inner) for inner in value]
    return base64.b64decode(value) if name == "bytes" and isinstance(value, str) else value


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable()
    replay(OpenAi, Anthropic, Google, Bedrock)
