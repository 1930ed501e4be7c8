"""Each recorded exchange gives LangChain's clients through the gateway what it gives without.

They are asked with the recorded conversation where it is one that LangChain has words for.
"""

import functools
import logging
import warnings

from langchain_anthropic import ChatAnthropic
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from replaying import Unasked, replay

# Members of a body that go along beside the conversation.
BESIDE = {"temperature", "tool_choice", "tools"}


def plain(message):
    """A message without the ids that LangChain makes up for runs."""
    got = message.model_dump(mode="json")
    if str(got.get("id", "")).startswith(("lc_", "run-")):
        got.pop("id")
    return got


def ask(client, exchange, messages, rest):
    if exchange["stream"]:
        for chunk in client.stream(messages, **rest):
            yield plain(chunk)
    else:
        yield plain(client.invoke(messages, **rest))


def words(content):
    """The text of a message's content, where it is nothing but text."""
    if isinstance(content, str):
        return content
    kinds = {"text", "input_text", "output_text"}
    if not isinstance(content, list) or any(part.get("type") not in kinds for part in content):
        raise Unasked("a message with more than text")
    return "".join(part["text"] for part in content)


def messages_of(turns):
    """A conversation of texts."""
    if isinstance(turns, str):
        return turns
    known = all(isinstance(turn.get("role"), str) and "content" in turn for turn in turns or [{}])
    if not known or any("tool_calls" in turn or "tool_call_id" in turn for turn in turns):
        raise Unasked("a conversation with more than messages")
    return [{"role": turn["role"], "content": words(turn["content"])} for turn in turns]


class OpenAi:
    name = "langchain-openai"
    apis = {"chat.completions", "embeddings", "responses"}

    def __init__(self, url, key):
        self.settings = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0}

    @functools.cache
    def client(self, model, responses):
        return ChatOpenAI(
            model=model, use_responses_api=responses, stream_usage=False, **self.settings
        )

    def outcome(self, exchange, body):
        if exchange["api"] == "embeddings":
            return self.embedded(exchange, body)
        responses = exchange["api"] == "responses"
        client = self.client(exchange["model"], responses)
        if responses:
            return ask(client, exchange, messages_of(body["input"]), {})
        rest = {name: value for name, value in body.items() if name in BESIDE}
        return ask(client, exchange, messages_of(body["messages"]), rest)

    def embedded(self, exchange, body):
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        client = OpenAIEmbeddings(
            model=exchange["model"], check_embedding_ctx_length=False, **self.settings
        )
        yield client.embed_documents(texts)


class Anthropic:
    name = "langchain-anthropic"
    apis = {"messages"}

    def __init__(self, url, key):
        self.settings = {"base_url": url, "api_key": key, "max_retries": 0}

    @functools.cache
    def client(self, model):
        return ChatAnthropic(model=model, max_tokens=1024, **self.settings)

    def outcome(self, exchange, body):
        client = self.client(exchange["model"])
        system = [{"role": "system", "content": words(body["system"])}] if body.get("system") else []
        return ask(client, exchange, system + messages_of(body["messages"]), {})


class Google:
    name = "langchain-google-genai"
    apis = {"gemini.generate", "gemini.stream"}

    def __init__(self, url, key):
        self.settings = {"base_url": url, "google_api_key": key, "max_retries": 1}

    @functools.cache
    def client(self, model):
        return ChatGoogleGenerativeAI(model=model, **self.settings)

    def outcome(self, exchange, body):
        turns = []
        for turn in body["contents"]:
            parts = turn.get("parts", [])
            if any(set(part) != {"text"} for part in parts):
                raise Unasked("a message with more than text")
            role = "assistant" if turn.get("role") == "model" else "user"
            turns.append({"role": role, "content": "".join(part["text"] for part in parts)})
        return ask(self.client(exchange["model"]), exchange, turns, {})


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable()
    replay(OpenAi, Anthropic, Google)
