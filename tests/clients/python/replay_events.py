"""Answers of other dialects, asked for through Responses: what the gateway makes of them is as Open Responses has it.

Every event is held against the published schema, and the events of a stream against the life of items.
"""

import json
import os
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator

from cases import BASE_URL, KEY, mock, report

# The model that leads to a service of this dialect alone.
VIA = {
    "chat.completions": "via-chat",
    "messages": "via-messages",
    "gemini.generate": "via-google",
    "gemini.stream": "via-google",
    "bedrock.converse": "via-bedrock",
    "bedrock.converse-stream": "via-bedrock",
}
TERMINAL = {"response.completed", "response.failed", "response.incomplete"}


class Schema:
    """What a member of the published description must look like."""

    def __init__(self, document):
        content = document["paths"]["/responses"]["post"]["responses"]["200"]["content"]
        self.events = self.validator(document, content["text/event-stream"]["schema"])
        self.whole = self.validator(document, content["application/json"]["schema"])
        # By the event's type, so that a mistake is told of the schema that was meant.
        self.by_type = {}
        for choice in content["text/event-stream"]["schema"]["oneOf"]:
            name = choice["$ref"].rpartition("/")[2]
            kinds = document["components"]["schemas"][name]["properties"]["type"]["enum"]
            for kind in kinds:
                self.by_type[kind] = self.validator(document, choice)

    @staticmethod
    def validator(document, schema):
        return Draft202012Validator({**schema, "components": document["components"]})

    @staticmethod
    def check(validator, value):
        for error in validator.iter_errors(value):
            raise AssertionError(f"{error.json_path}: {error.message[:300]} in {json.dumps(value)[:600]}")

    def check_event(self, event):
        assert event["type"] in self.by_type, f"no event `{event['type']}` is described"
        self.check(self.by_type[event["type"]], event)


def ask(model, stream):
    body = json.dumps({"model": model, "input": "x", "stream": stream}).encode()
    head = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{BASE_URL}/responses", body, head)) as answer:
        return answer.read().decode()


def events_of(text):
    for block in text.split("\n\n"):
        data = [line[5:].strip() for line in block.split("\n") if line.startswith("data:")]
        if data and data != ["[DONE]"]:
            yield json.loads("".join(data))


def check_life(events):
    """Events are counted, items and their parts open and close once and in order, one event ends it all."""
    kinds = [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events))), "gaps in sequence_number"
    assert kinds[0] == "response.created", f"begins with {kinds[0]}"
    assert kinds[-1] in TERMINAL, f"ends with {kinds[-1]}"
    assert sum(kind in TERMINAL for kind in kinds) == 1, "more than one end"
    opened, closed = {}, {}
    for event in events:
        index = event.get("output_index")
        if event["type"] == "response.output_item.added":
            assert index == len(opened), f"item {index} opened after {len(opened)}"
            opened[index] = event["item"]["id"]
        elif event["type"] == "response.output_item.done":
            assert index in opened and index not in closed, f"item {index} closed, but not open"
            assert event["item"]["id"] == opened[index], f"item {index} changed its id"
            closed[index] = event["item"]
        elif index is not None:
            assert index in opened and index not in closed, f"{event['type']} of an item that is not open"
            assert event.get("item_id", opened[index]) == opened[index], f"{event['type']} of another item"
    if kinds[-1] == "response.completed":
        assert set(opened) == set(closed), "an item stays open"
    if kinds[-1] != "response.failed":
        output = events[-1]["response"]["output"]
        assert [item["id"] for item in output] == [opened[index] for index in sorted(opened)], "other items at the end"


def is_filtered(status, text):
    """Some services answer 200 with nothing but what their filter says; callers get an error with its status."""
    error = json.loads(text).get("error", {})
    return status == 400 and error.get("code") == "content_filter" and set(error) >= {"message", "param", "type"}


def main():
    with open(os.environ["CARNET_FILE"]) as file:
        schema = Schema(json.load(file))
    for exchange in mock("exchanges")["exchanges"]:
        model = VIA.get(exchange["api"])
        if not model or exchange["status"] != 200:
            continue
        mock("arm", {"id": exchange["id"], "step": 37})
        try:
            text = ask(model, exchange["stream"])
            if exchange["stream"]:
                events = list(events_of(text))
                for event in events:
                    schema.check_event(event)
                check_life(events)
            else:
                schema.check(schema.whole, json.loads(text))
            why = None
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            why = None if is_filtered(error.code, text) else f"{error.code} {text}"
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        report(f"as Responses: {exchange['id']}", why)


if __name__ == "__main__":
    main()
