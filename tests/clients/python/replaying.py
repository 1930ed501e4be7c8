"""Puts clients before the recorded exchanges, once with and once without the gateway. No part of any client."""

import itertools
import json
import uuid

from cases import BASE_URL, FULL, KEY, MOCK_URL, mock

# The driver compares bytes at every cut; here the cut that drifts across event bounds will do.
CUTS = (1, 7, 37, 0) if FULL else (37,)
# The driver has the list of what the gateway refuses.
REFUSED = ("field_refused", "invalid_json", " is refused for `", "no response of this id is kept")


# The key of what an application sees of an error; no answer has it.
FAILED = "failed with"


class Unasked(Exception):
    """The client has no way to ask for what was recorded."""


def count_ids():
    """Clients that make up ids where a service sends none make up the same ones on both sides."""
    numbers = itertools.count(1)
    uuid.uuid4 = lambda: uuid.UUID(int=next(numbers), version=4)


def failed(*what):
    """What an application sees of an error."""
    return {FAILED: [str(one) for one in what]}


def replay(*clients):
    """Each client is a class, made of an address and a key, with `name`, `apis` and `outcome`."""
    sides = [
        (client.name, client(MOCK_URL, "direct"), client(BASE_URL.removesuffix("/v1"), KEY))
        for client in clients
    ]
    for exchange in mock("exchanges")["exchanges"]:
        body = json.loads(exchange["request"])
        for name, direct, through in sides:
            if exchange["api"] in direct.apis:
                for cut in CUTS:
                    compare(name, direct, through, exchange, body, cut)


def compare(name, direct, through, exchange, body, cut):
    mock("arm", {"id": exchange["id"], "step": cut})
    try:
        found = outcome(through, exchange, body)
        last = json.dumps(found[-1:]).lower()
        if any(code in last for code in REFUSED):
            return told(name, exchange, cut, "refused")
        wanted = outcome(direct, exchange, body)
    except Unasked as why:
        return told(name, exchange, cut, "unasked", str(why))
    if found != wanted:
        return told(name, exchange, cut, "differs", f"wanted {wanted}\nfound  {found}"[:2000])
    bad = exchange["status"] < 400 and found and FAILED in found[-1]
    told(name, exchange, cut, "same-failure" if bad else "same", str(found[-1])[:300] if bad else "")


def outcome(client, exchange, body):
    """What the application gets: everything parsed, or the error with all that it carries."""
    got = []
    count_ids()
    try:
        for one in client.outcome(exchange, json.loads(json.dumps(body))):
            got.append(json.loads(json.dumps(one, default=str)))
    except Unasked:
        raise
    except Exception as error:
        got.append(failed(type(error).__name__, error, getattr(error, "body", "")))
    return got


def told(client, exchange, cut, verdict, why=""):
    line = {"client": client, "exchange": exchange["id"], "manner": str(cut), "verdict": verdict}
    print(json.dumps({**line, "why": why}), flush=True)
