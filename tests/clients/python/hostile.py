"""What Python's reader finds in the bodies that the gateway let through."""

import json
import os

from cases import report

FIELDS = {"model", "models", "provider", "fallbacks"}


def fold(key):
    """As a reader that ignores case would take it, beyond ASCII too."""
    return key.casefold()


def pairs(found):
    """Keeps every pair, also those that a reader would let win or lose against each other."""
    return {"pairs": found}


def refuse(constant):
    """Python reads NaN and Infinity, which no strict reader does."""
    raise ValueError(constant)


def look(body):
    """Why a body should not have passed, whichever of its keys a reader takes."""
    last = json.loads(body, parse_constant=refuse)
    if last["model"] != "mock-chat":
        return f"the model is {last['model']!r}"
    top = json.loads(body, object_pairs_hook=pairs)["pairs"]
    for key, value in top:
        if fold(key) in FIELDS and (key, value) != ("model", "mock-chat"):
            return f"{key!r}: {value!r} went through"
        if fold(key) == "tools":
            for tool in value if isinstance(value, list) else []:
                names = [fold(name) for name, _ in tool["pairs"]] if isinstance(tool, dict) else []
                if "server_url" in names or len(names) != len(set(names)):
                    return f"a tool says {names}"
    names = [fold(key) for key, _ in top if fold(key) in FIELDS | {"tools", "messages", "stream"}]
    return f"twice: {names}" if len(names) != len(set(names)) else None


if __name__ == "__main__":
    with open(os.environ["CARNET_FILE"], encoding="utf-8") as file:
        for body in json.load(file):
            try:
                why = look(body)
            except ValueError as error:
                why = f"not JSON to Python: {error}"
            report("as Python reads it", why and f"{why}: {body}")
