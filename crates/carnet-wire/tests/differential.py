"""Checks that Python's json sees in every accepted body what the scan decided on.

Usage: differential.py FILE, with FILE from `cargo run --example hostile_bodies SEED COUNT FILE`.
Reads each body twice: as Python does by default, where the last of two equal keys wins, and with the first one
winning. Prints `N passed, N failed`; exit code 1 on any difference, 2 when there is nothing to check.
"""

import base64
import json
import sys

WATCHED = ["model", "models", "provider", "tools", "stream", "background"]


def first_wins(pairs):
    members = {}
    for key, value in pairs:
        members.setdefault(key, value)
    return members


PARSERS = {
    "last wins": json.loads,
    "first wins": lambda text: json.loads(text, object_pairs_hook=first_wins),
}


def values_at(document, path):
    places = [document]
    for segment in path.split("."):
        key = segment.removesuffix("[]")
        places = [place[key] for place in places if isinstance(place, dict) and key in place]
        if key != segment:
            places = [item for place in places if isinstance(place, list) for item in place]
    return places


def look_alikes(document):
    """Keys that a reader without regard to letter case, or with C strings, takes for a watched one."""
    return [key for key in document if key not in WATCHED and key.split("\0")[0].casefold() in WATCHED]


def differences(line):
    body = base64.b64decode(line["body"])
    for name, parse in PARSERS.items():
        try:
            document = parse(body)
        except (ValueError, RecursionError) as error:
            yield f"{name}: accepted by the scan, refused here: {error}"
            continue
        if not isinstance(document, dict):
            yield f"{name}: not an object"
            continue
        if document.get("model") != line["model"]:
            yield f"{name}: model {line['model']!r} by the scan, {document.get('model')!r} here"
        for path, texts in line["seen"].items():
            ours = [parse(base64.b64decode(text)) for text in texts]
            theirs = values_at(document, path)
            if ours != theirs:
                yield f"{name}: {path} is {ours!r} by the scan, {theirs!r} here"
        for key in look_alikes(document):
            yield f"{name}: key {key!r} passed"


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    # Long integers are valid JSON; the limit guards against slow conversion, which is no matter here.
    sys.set_int_max_str_digits(0)
    passed = failed = 0
    with open(sys.argv[1], encoding="utf-8") as lines:
        for number, line in enumerate(map(json.loads, lines), start=1):
            found = list(differences(line)) if line["verdict"] == "accept" else []
            for difference in found:
                print(f"line {number} ({line['trick']}): {difference}", file=sys.stderr)
            failed += bool(found)
            passed += not found
    print(f"{passed} passed, {failed} failed")
    if passed + failed == 0:
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
