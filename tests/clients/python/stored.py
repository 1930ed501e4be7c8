"""The stock client with responses that the service keeps, and over a WebSocket."""

import json
import os

import openai
from openai import OpenAI

from cases import BASE_URL, KEY, case, equal, mock, run, seen_count, seen_from

with open(os.environ["CARNET_FILE"]) as file:
    ANSWERS = json.load(file)["responses"]

TEXT = "Grüße ☂ von oben."
CLIENT = OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)


def answer(*bodies):
    """What the upstream answers next, one body a request."""
    mock("answer", [body if "headers" in body else {"status": 200, "headers": {}, "json": body} for body in bodies])


def renamed(told, id):
    """An answer with the id of its response in the place of the file's."""
    return json.loads(json.dumps(told).replace("resp_1", id))


def whole(id, **members):
    return renamed(ANSWERS["text"], id)["json"] | members


def make(id, **options):
    """Has the upstream make a response of this id."""
    answer(whole(id))
    equal(CLIENT.responses.create(model="kept", input="x", **options).id, id)


def asked(ask, body, line):
    """What the client shows of an answer to a request that the upstream read as this line."""
    answer(body)
    before = seen_count()
    shown = ask()
    (seen,) = seen_from(before)
    equal(f"{seen['method']} {seen['path']}", line)
    return shown


def unknown(ask):
    before = seen_count()
    try:
        ask()
    except openai.NotFoundError as error:
        equal(seen_count(), before)
        return error
    raise AssertionError("it is still known")


@case
def retrieved():
    """a kept response is retrieved"""
    make("resp_a")
    shown = asked(lambda: CLIENT.responses.retrieve("resp_a"), whole("resp_a"), "GET /v1/responses/resp_a")
    equal((shown.id, shown.status, shown.output_text), ("resp_a", "completed", TEXT))
    equal(shown.usage.total_tokens, 18)


@case
def retrieved_as_a_stream():
    """a kept response is retrieved as a stream"""
    make("resp_b")
    told = renamed(ANSWERS["text_stream"], "resp_b")
    ask = lambda: list(CLIENT.responses.retrieve("resp_b", stream=True))
    events = asked(ask, told, "GET /v1/responses/resp_b?stream=true")
    equal("".join(event.delta for event in events if event.type == "response.output_text.delta"), TEXT)
    equal(events[-1].response.output_text, TEXT)


@case
def listed():
    """the input of a kept response is listed"""
    make("resp_c")
    item = {"id": "msg_in", "type": "message", "role": "user", "status": "completed", "content": [{"type": "input_text", "text": "x"}]}
    page = {"object": "list", "data": [item], "first_id": "msg_in", "last_id": "msg_in", "has_more": False}
    ask = lambda: list(CLIENT.responses.input_items.list("resp_c", limit=2, order="asc"))
    (shown,) = asked(ask, page, "GET /v1/responses/resp_c/input_items?limit=2&order=asc")
    equal((shown.id, shown.content[0].text), ("msg_in", "x"))


@case
def cancelled():
    """a response in the background is cancelled"""
    answer(whole("resp_d", status="queued", output=[], background=True))
    made = CLIENT.responses.create(model="kept", input="x", background=True)
    equal((made.id, made.status), ("resp_d", "queued"))
    body = whole("resp_d", status="cancelled", output=[], background=True)
    shown = asked(lambda: CLIENT.responses.cancel("resp_d"), body, "POST /v1/responses/resp_d/cancel")
    equal((shown.id, shown.status), ("resp_d", "cancelled"))


@case
def deleted():
    """a response that was deleted is known no more"""
    make("resp_e")
    body = {"id": "resp_e", "object": "response", "deleted": True}
    asked(lambda: CLIENT.responses.delete("resp_e"), body, "DELETE /v1/responses/resp_e")
    for ask in (CLIENT.responses.retrieve, CLIENT.responses.cancel, CLIENT.responses.delete):
        equal(unknown(lambda: ask("resp_e")).code, "state_not_found")
    error = unknown(lambda: CLIENT.responses.create(model="kept", input="x", previous_response_id="resp_e"))
    equal((error.code, error.param), ("previous_response_not_found", "previous_response_id"))


@case
def gone_on_from():
    """a conversation goes on from a kept response"""
    make("resp_f")
    answer(whole("resp_g"))
    before = seen_count()
    shown = CLIENT.responses.create(model="kept", input="y", previous_response_id="resp_f")
    equal((shown.id, shown.output_text), ("resp_g", TEXT))
    (seen,) = seen_from(before)
    equal(json.loads(seen["body"])["previous_response_id"], "resp_f")


@case
def not_kept():
    """a response that was not stored is not known"""
    make("resp_h", store=False)
    equal(unknown(lambda: CLIENT.responses.retrieve("resp_h")).code, "state_not_found")


@case
def compacted():
    """a conversation is compacted"""
    item = {"id": "cmp_1", "type": "compaction", "encrypted_content": "sealed"}
    usage = ANSWERS["text"]["json"]["usage"]
    body = {"id": "resp_i", "object": "response.compaction", "created_at": 1, "output": [item], "usage": usage}
    turn = {"role": "user", "content": "x"}
    ask = lambda: CLIENT.responses.compact(model="kept", input=[turn])
    shown = asked(ask, body, "POST /v1/responses/compact")
    equal((shown.object, shown.output[0].type), ("response.compaction", "compaction"))
    equal(shown.output[0].encrypted_content, "sealed")
    equal(shown.usage.total_tokens, 18)


def turn(connection, **options):
    """One turn over a socket: the text as it came, and the response at its end."""
    connection.response.create(model="kept", **options)
    text = ""
    for event in connection:
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "response.completed":
            return text, event.response
        elif event.type in ("error", "response.failed"):
            raise AssertionError(event)
    raise AssertionError("the socket ended")


@case
def connected():
    """two turns over a WebSocket, the second going on from the first"""
    answer(*(renamed(ANSWERS["text_stream"], id) for id in ("resp_j", "resp_k")))
    before = seen_count()
    with CLIENT.responses.connect() as connection:
        text, first = turn(connection, input="x")
        equal((text, first.id, first.output_text), (TEXT, "resp_j", TEXT))
        text, second = turn(connection, input="y", previous_response_id=first.id)
        equal((text, second.id, second.usage.total_tokens), (TEXT, "resp_k", 18))
    asked = [json.loads(seen["body"]) for seen in seen_from(before)]
    equal([body["stream"] for body in asked], [True, True])
    # What it keeps goes on there.
    equal((asked[1]["previous_response_id"], asked[1]["input"]), ("resp_j", "y"))


@case
def refused_over_a_socket():
    """what is wrong with a message over a WebSocket is an event, and the next turn is answered"""
    answer(renamed(ANSWERS["text_stream"], "resp_l"))
    with CLIENT.responses.connect() as connection:
        connection.response.create(model="no-such-model", input="x")
        event = connection.recv()
        equal((event.type, event.error.code), ("error", "model_not_found"))
        equal(turn(connection, input="x")[1].id, "resp_l")


if __name__ == "__main__":
    run()
    mock("answer", [])
