"""Stock clients before upstreams that speak another dialect than theirs: what they show of each answer.

The upstream answers from a file, the same things in every dialect: a text, a tool call, two of them in a stream, a
refusal with `retry-after`, an error in the middle of a stream.
"""

import json
import os

import anthropic
import openai
from botocore.exceptions import ClientError, EventStreamError
from google.genai import errors, types

from cases import BASE_URL, KEY, equal, mock, report, seen_count, seen_from
from replay import Bedrock, Google

with open(os.environ["CARNET_FILE"]) as file:
    ANSWERS = json.load(file)

TEXT = "Grüße ☂ von oben."
CALLS = [("call_a1", "weather", {"city": "Köln", "days": 2}), ("call_b2", "clock", {"zone": "CET"})]
BUSY = "Too many requests, slow down."
BROKEN = "The model broke down in its middle."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ["weather", "clock"]
URL = BASE_URL.removesuffix("/v1")

# Where a dialect's requests go.
PATHS = {
    "chat-completions": "/v1/chat/completions",
    "converse": "/model/by-converse/converse",
    "generate-content": "/v1beta/models/by-generate-content:",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
}


class Shown:
    """What an application sees of an answer."""

    def __init__(self):
        self.text, self.calls, self.finish, self.usage = "", [], None, None

    def used(self, inwards, outwards):
        self.usage = (inwards, outwards)


class Chat:
    name = "openai, chat"
    dialects = ("converse", "generate-content", "messages", "responses")
    finish = {"text": "stop", "tools": "tool_calls"}
    busy = broken = openai.APIError
    tools = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES]

    def __init__(self):
        self.client = openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)

    def ask(self, model, tools, **more):
        more |= {"tools": self.tools} if tools else {}
        turn = {"role": "user", "content": "x"}
        return self.client.chat.completions.create(model=model, messages=[turn], **more)

    def whole(self, model, tools, shown):
        answer = self.ask(model, tools)
        (choice,) = answer.choices
        shown.text, shown.finish = choice.message.content or "", choice.finish_reason
        shown.used(answer.usage.prompt_tokens, answer.usage.completion_tokens)
        for call in choice.message.tool_calls or []:
            shown.calls.append((call.id, call.function.name, json.loads(call.function.arguments)))

    def streamed(self, model, tools, shown):
        calls = {}
        for chunk in self.ask(model, tools, stream=True, stream_options={"include_usage": True}):
            if chunk.usage:
                shown.used(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            for choice in chunk.choices:
                shown.text += choice.delta.content or ""
                shown.finish = choice.finish_reason or shown.finish
                for part in choice.delta.tool_calls or []:
                    call = calls.setdefault(part.index, ["", "", ""])
                    for place, piece in enumerate((part.id, part.function.name, part.function.arguments)):
                        call[place] += piece or ""
        shown.calls = [(id, name, json.loads(text)) for id, name, text in calls.values()]

    def is_busy(self, error):
        equal(type(error), openai.RateLimitError)
        equal((error.status_code, error.response.headers["retry-after"]), (429, "7"))
        assert BUSY in error.message, error.message

    def is_broken(self, error):
        equal(type(error), openai.APIError)
        assert BROKEN in error.message, error.message


class Responses(Chat):
    name = "openai, responses"
    dialects = ("chat-completions", "converse", "generate-content", "messages")
    finish = {"text": "completed", "tools": "completed"}
    tools = [{"type": "function", "name": name, "parameters": SCHEMA, "strict": False} for name in NAMES]

    def ask(self, model, tools, **more):
        more |= {"tools": self.tools} if tools else {}
        return self.client.responses.create(model=model, input="x", **more)

    def whole(self, model, tools, shown):
        self.take(self.ask(model, tools), shown)
        shown.text = self.last.output_text

    def take(self, response, shown):
        self.last = response
        shown.finish = response.status
        shown.used(response.usage.input_tokens, response.usage.output_tokens)
        for item in response.output:
            if item.type == "function_call":
                shown.calls.append((item.call_id, item.name, json.loads(item.arguments)))

    def streamed(self, model, tools, shown):
        arguments = {}
        for event in self.ask(model, tools, stream=True):
            if event.type == "response.output_text.delta":
                shown.text += event.delta
            elif event.type == "response.function_call_arguments.delta":
                arguments[event.item_id] = arguments.get(event.item_id, "") + event.delta
            elif event.type == "response.failed":
                raise Failed(event.response.error.message)
            elif event.type == "response.completed":
                self.take(event.response, shown)
                equal(event.response.output_text, shown.text)
        equal([json.loads(text) for text in arguments.values()], [call[2] for call in shown.calls])

    def is_broken(self, error):
        equal(type(error), Failed)
        assert BROKEN in str(error), error


class Failed(Exception):
    """The client shows it as an event, not as an exception."""


class Messages:
    name = "anthropic"
    dialects = ("chat-completions", "responses")
    finish = {"text": "end_turn", "tools": "tool_use"}
    busy = broken = anthropic.APIError
    tools = [{"name": name, "input_schema": SCHEMA} for name in NAMES]

    def __init__(self):
        self.client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)

    def options(self, model, tools):
        turn = {"role": "user", "content": "x"}
        return {"model": model, "max_tokens": 100, "messages": [turn]} | ({"tools": self.tools} if tools else {})

    def whole(self, model, tools, shown):
        self.take(self.client.messages.create(**self.options(model, tools)), shown)

    def take(self, message, shown):
        shown.text = "".join(block.text for block in message.content if block.type == "text")
        shown.calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
        shown.finish = message.stop_reason
        shown.used(message.usage.input_tokens, message.usage.output_tokens)

    def streamed(self, model, tools, shown):
        with self.client.messages.stream(**self.options(model, tools)) as stream:
            for text in stream.text_stream:
                shown.text += text
            text = shown.text
            self.take(stream.get_final_message(), shown)
            equal(text, shown.text)

    def is_busy(self, error):
        equal(type(error), anthropic.RateLimitError)
        equal((error.status_code, error.response.headers["retry-after"]), (429, "7"))
        assert BUSY in error.message, error.message

    def is_broken(self, error):
        equal(type(error), anthropic.APIStatusError)
        equal(error.body["error"], {"type": "api_error", "message": BROKEN})


class Generate:
    name = "google-genai"
    dialects = ("chat-completions",)
    finish = {"text": "STOP", "tools": "STOP"}
    busy = broken = errors.APIError
    tools = [
        types.Tool(
            function_declarations=[
                types.FunctionDeclaration(name=name, parameters_json_schema=SCHEMA) for name in NAMES
            ]
        )
    ]

    def __init__(self):
        self.client = Google(URL, KEY).client

    def ask(self, call, model, tools):
        config = types.GenerateContentConfig(
            tools=self.tools if tools else None,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        return call(model=model, contents="x", config=config)

    def whole(self, model, tools, shown):
        self.take(self.ask(self.client.models.generate_content, model, tools), shown)

    def take(self, answer, shown):
        for candidate in answer.candidates or []:
            for part in (candidate.content and candidate.content.parts) or []:
                shown.text += part.text or ""
                if part.function_call:
                    call = part.function_call
                    shown.calls.append((call.id, call.name, call.args))
            if candidate.finish_reason:
                shown.finish = candidate.finish_reason.value
        if answer.usage_metadata and answer.usage_metadata.candidates_token_count:
            usage = answer.usage_metadata
            shown.used(usage.prompt_token_count, usage.candidates_token_count)

    def streamed(self, model, tools, shown):
        for answer in self.ask(self.client.models.generate_content_stream, model, tools):
            self.take(answer, shown)

    def is_busy(self, error):
        equal(type(error), errors.ClientError)
        equal((error.code, error.status), (429, "RESOURCE_EXHAUSTED"))
        equal(error.response.headers["retry-after"], "7")
        assert BUSY in error.message, error.message

    def is_broken(self, error):
        equal(type(error), errors.ServerError)
        equal((error.status, error.message), ("UNAVAILABLE", BROKEN))


class Converse:
    name = "boto3"
    dialects = ("messages",)
    finish = {"text": "end_turn", "tools": "tool_use"}
    busy, broken = ClientError, EventStreamError
    tools = {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": SCHEMA}}} for name in NAMES]}

    def __init__(self):
        self.client = Bedrock(URL, KEY).client

    def ask(self, call, model, tools):
        turn = {"role": "user", "content": [{"text": "x"}]}
        return call(modelId=model, messages=[turn], **({"toolConfig": self.tools} if tools else {}))

    def whole(self, model, tools, shown):
        answer = self.ask(self.client.converse, model, tools)
        for block in answer["output"]["message"]["content"]:
            shown.text += block.get("text", "")
            if call := block.get("toolUse"):
                shown.calls.append((call["toolUseId"], call["name"], call["input"]))
        shown.finish = answer["stopReason"]
        shown.used(answer["usage"]["inputTokens"], answer["usage"]["outputTokens"])

    def streamed(self, model, tools, shown):
        calls = {}
        for event in self.ask(self.client.converse_stream, model, tools)["stream"]:
            ((kind, what),) = event.items()
            if kind == "contentBlockStart":
                call = what["start"]["toolUse"]
                calls[what["contentBlockIndex"]] = [call["toolUseId"], call["name"], ""]
            elif kind == "contentBlockDelta":
                shown.text += what["delta"].get("text", "")
                if part := what["delta"].get("toolUse"):
                    calls[what["contentBlockIndex"]][2] += part["input"]
            elif kind == "messageStop":
                shown.finish = what["stopReason"]
            elif kind == "metadata":
                shown.used(what["usage"]["inputTokens"], what["usage"]["outputTokens"])
        shown.calls = [(id, name, json.loads(text)) for id, name, text in calls.values()]

    def is_busy(self, error):
        equal(type(error), self.client.exceptions.ThrottlingException)
        equal(error.response["ResponseMetadata"]["HTTPStatusCode"], 429)
        equal(error.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"], "7")
        assert BUSY in str(error), error

    def is_broken(self, error):
        equal(type(error), EventStreamError)
        equal(error.response["Error"], {"Code": "internalServerException", "Message": BROKEN})


def as_wanted(shown, client, dialect, calls):
    equal(shown.text, "" if calls else TEXT)
    equal(shown.finish, client.finish["tools" if calls else "text"])
    equal(shown.usage, (11, 7))
    if dialect == "generate-content":
        # The upstream has no ids, so they are made up: each call has its own.
        ids = [id for id, *_ in shown.calls]
        assert all(ids) and len(set(ids)) == len(calls), ids
        equal([call[1:] for call in shown.calls], [call[1:] for call in calls])
    else:
        equal(shown.calls, calls)


def run(client, dialect, kind):
    """One answer of the upstream, and what the client shows of it."""
    model = f"by-{dialect}"
    mock("answer", [ANSWERS[dialect][kind]])
    before = seen_count()
    shown = Shown()
    if kind == "busy":
        fails(client.busy, client.is_busy, lambda: client.whole(model, False, shown))
    elif kind == "broken_stream":
        wanted = (client.broken, Failed)
        fails(wanted, client.is_broken, lambda: client.streamed(model, False, shown))
        equal(shown.text, "Grüße ")
    else:
        calls = {"tool": CALLS[:1], "tools_stream": CALLS}.get(kind, [])
        ask = client.streamed if kind.endswith("_stream") else client.whole
        ask(model, bool(calls), shown)
        as_wanted(shown, client, dialect, calls)
    (seen,) = seen_from(before)
    assert seen["path"].startswith(PATHS[dialect]), seen["path"]
    assert KEY not in str(seen), "the caller's key went upstream"


def fails(kinds, check, ask):
    try:
        ask()
    except kinds as error:
        return check(error)
    raise AssertionError("no error is shown")


if __name__ == "__main__":
    for client in (Chat(), Responses(), Messages(), Generate(), Converse()):
        for dialect in client.dialects:
            for kind in ANSWERS[dialect]:
                why = None
                try:
                    run(client, dialect, kind)
                except Exception as error:
                    why = f"{type(error).__name__}: {error}"
                report(f"{client.name} to {dialect}: {kind}", why)
    mock("answer", [])
