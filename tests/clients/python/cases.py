"""Runs cases and reports each as one JSON line; knows the mock's ledger. No part of any client."""

import json
import os
import time
import traceback
import urllib.request

BASE_URL = os.environ["CARNET_BASE_URL"]
KEY = os.environ["CARNET_KEY"]
MOCK_URL = os.environ["MOCK_URL"]
FULL = os.environ.get("CARNET_FULL") == "1"

_cases = []


def case(function):
    """Registers a case; its name is the function's, its description the doc string."""
    _cases.append(function)
    return function


def run():
    for function in _cases:
        name = function.__doc__ or function.__name__
        try:
            function()
            report(name)
        except Exception:
            report(name, traceback.format_exc(limit=-3, chain=False))


def report(name, why=None):
    print(json.dumps({"case": name, "ok": why is None, "why": why or ""}), flush=True)


def expect_records(requested, count):
    """Tells the driver how many records requests for this name must have left in the log."""
    print(json.dumps({"requested": requested, "records": count}), flush=True)


def equal(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def mock(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{MOCK_URL}/__{path}", data=data)) as answer:
        return json.load(answer)


def seen_from(number):
    return mock(f"seen?from={number}")["seen"]


def seen_count():
    return len(seen_from(0))


def until(what, seconds=5.0):
    """Asks again until there is an answer."""
    end = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def closed_within_a_second(number, since_ms):
    """The mock saw its peer hang up on request `number` within a second of `since_ms`."""
    seen = until(lambda: next((s for s in seen_from(number) if s["end"]), None))
    equal(seen["end"], "closed-by-peer")
    late = seen["end_ms"] - since_ms
    assert late <= 1000, f"the upstream saw the close after {late} ms"
    return seen


def now_ms():
    return int(time.time() * 1000)


def words(count):
    """What the mock answers."""
    return "".join(f"wörd{index}☂ " for index in range(count))
