"""Records the first minute with Carnet and draws it as a terminal, for the README.

    cargo build --release -p carnet
    python3 docs/picture/record.py

It starts `carnet serve` without a configuration in an empty folder, reads the greeting, runs each command that the greeting
prints, and writes `docs/src/first-minute.svg`. The text in the picture is what the program said. It is left out only where a
grey `…` stands. Put in are comments, and places as a user would see them: the program as `carnet`, the default port, the
state directory below `~`. Line breaks, and the space between the columns of a table, are the picture's.

Needs Python 3.9, `sh` and `curl`, and nothing from outside the machine.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from itertools import zip_longest
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs/src/first-minute.svg"

# The greeting ends with this.
LAST_WORDS = "every line explained"
# What `serve` listens on unless told otherwise; the recording takes whatever port is free.
ADDRESS = "127.0.0.1:4390"
START_SECONDS = 60
COMMAND_SECONDS = 120
# The log is signed at most once a second; a person who reads the answers first is slower than that.
SIGNED_SECONDS = 10

COLUMNS = 104
REASONING_LINES = 24
RECORDS = 2
VERIFY_LINES = 3

# Stands for a `…` of ours, to tell it from one that the program printed.
CUT = "\ue000"
# In a sentence, or as a cell of a table.
REFUSAL = r"is not permitted here|(?<=  )(?:deny|denied)(?=  )"

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace"
FONT_SIZE = 14
# The widest of these fonts takes 0.602 of its size.
CHARACTER = 0.602 * FONT_SIZE
LINE = 20
MARGIN = 20
BAR = 36
COLOURS = {
    "output": "#c9d1d9",
    "prompt": "#7ee787",
    "command": "#ffffff",
    "comment": "#8b949e",
    "refusal": "#ff7b72",
}


class Demo:
    """The demonstration, running in a folder that is its home."""

    def __init__(self, carnet, home):
        self.carnet = carnet
        self.home = home
        self.states = home / ".local/state"
        self.env = {
            "HOME": str(home),
            "XDG_STATE_HOME": str(self.states),
            "PATH": os.environ.get("PATH", os.defpath),
        }
        self.errors = tempfile.TemporaryFile("w+")
        self.server = subprocess.Popen(
            [str(carnet), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
            cwd=home, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.terminate()
        try:
            self.server.wait(COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.server.stdout.close()
        self.errors.close()

    def greeting(self):
        """Every line that it says before it only serves."""
        too_late = threading.Timer(START_SECONDS, self.server.kill)
        too_late.start()
        said = []
        try:
            while not said or LAST_WORDS not in said[-1]:
                line = self.server.stdout.readline()
                if not line:
                    self.errors.seek(0)
                    sys.exit(f"`{self.carnet} serve` ended without its greeting\n{''.join(said)}{self.errors.read()}")
                said.append(line.rstrip("\n"))
        finally:
            too_late.cancel()
        return said

    def shell(self, command):
        """What a command prints, run as a person would run it, in the same folder."""
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.home, env=self.env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=COMMAND_SECONDS,
        )
        if done.returncode != 0:
            sys.exit(f"this failed with {done.returncode}:\n{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def as_shown(self, text):
        """The text with the places of a user instead of the recording's."""
        text = text.replace(str(self.carnet), "carnet").replace(str(self.states), "~/.local/state")
        return re.sub(r"127\.0\.0\.1:\d+(?=/v1/)", ADDRESS, text)


def commands(greeting):
    """The indented commands, each with the lines that it goes on over."""
    found = []
    goes_on = False
    for line in greeting:
        if not line.startswith("   "):
            continue
        line = line[3:]
        if goes_on:
            found[-1] += "\n" + line
        else:
            found.append(line)
        goes_on = line.endswith("\\")
    return found


def streamed(events):
    """The reasoning and the answer, put together from the events of a stream."""
    parts = {"reasoning_content": "", "content": ""}
    for line in events.splitlines():
        if not line.startswith("data: {"):
            continue
        event = json.loads(line[len("data: "):])
        for choice in event.get("choices", []):
            for name in parts:
                parts[name] += choice["delta"].get(name) or ""
    if not all(parts.values()):
        sys.exit(f"the stream has no reasoning or no answer:\n{events}")
    return parts


def verified(demo, command, records):
    """What `audit verify` says once so many records are under a signature."""
    end = time.monotonic() + SIGNED_SECONDS
    while True:
        said = demo.shell(command)
        signed = re.search(r"\((\d+) records?\b", said)
        if not signed:
            sys.exit(f"this does not say how many records it verified:\n{said}")
        if int(signed[1]) >= records:
            return said
        if time.monotonic() > end:
            sys.exit(f"{records} records were not signed within {SIGNED_SECONDS} s:\n{said}")
        time.sleep(0.2)


class Screen:
    """Lines of text, each with the name of its colour."""

    def __init__(self):
        self.lines = []

    def say(self, text, colour="output"):
        for line in text.splitlines():
            indent = " " * (len(line) - len(line.lstrip()))
            pieces = textwrap.wrap(line, COLUMNS, subsequent_indent=indent, break_on_hyphens=False)
            self.lines += [(piece, colour) for piece in pieces or [""]]

    def gap(self):
        self.lines.append(("", "output"))

    def comment(self, text):
        self.say(f"# {text}", "comment")

    def type(self, command):
        self.say(f"$ {command}", "command")


def shortened(request):
    """A request by curl: its address and its body, without the headers between them."""
    first, *_, body = request.splitlines()
    return first.removesuffix("\\") + CUT + " \\\n  " + body.strip()


def first_lines(text, count):
    """The first lines, and a mark where there are more."""
    lines = text.splitlines()
    return "\n".join(lines[:count] + [CUT] * (len(lines) > count))


def narrower(table):
    """A table of records with shorter times and identifiers, its columns set anew."""
    table = re.sub(r"\d{4}-\d\d-\d\dT(?=\d\d:)", CUT, table)
    table = re.sub(r"\brec_[0-9a-f]+(?=[0-9a-f]{6}\b)", f"rec_{CUT}", table)
    rows = [re.split(r" {2,}", line) for line in table.splitlines()]
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def record(demo):
    """The first minute, as it is shown."""
    greeting = demo.greeting()
    found = commands(greeting)
    if len(found) != 4:
        sys.exit("the greeting does not print four commands:\n" + "\n".join(greeting))
    ask, ask_refused, show, verify = found
    answer = streamed(demo.shell(ask))
    refused = demo.shell(ask_refused)
    error = json.loads(refused).get("error", {})
    if not error.get("message") or not error.get("help"):
        sys.exit(f"the second request was not refused with a message and help:\n{refused}")
    shown = demo.shell(show)
    signed = verified(demo, verify, len(shown.splitlines()))

    until = next(number for number, line in enumerate(greeting) if line.endswith("Try:"))
    screen = Screen()
    screen.type("cargo run --release -- serve")
    screen.say(CUT)
    screen.say(demo.as_shown("\n".join(greeting[:until + 1])))
    screen.say(CUT)
    screen.gap()
    screen.comment("In a second terminal:")
    screen.type(shortened(demo.as_shown(ask)))
    screen.comment("reasoning_content, from the events of the stream")
    screen.say(first_lines(answer["reasoning_content"].strip(), REASONING_LINES))
    screen.comment("content")
    screen.say(answer["content"].strip())
    screen.gap()
    screen.type(shortened(demo.as_shown(ask_refused)))
    screen.comment("error.message, from the JSON")
    screen.say(error["message"])
    screen.comment("error.help")
    screen.say(error["help"].strip())
    screen.gap()
    screen.type(demo.as_shown(show))
    screen.say(first_lines(narrower(first_lines(shown, RECORDS)), RECORDS + 1))
    screen.gap()
    screen.type(demo.as_shown(verify))
    screen.say(first_lines(signed, VERIFY_LINES))
    return screen.lines


def spans(text, colour):
    """A line in pieces of one colour each."""
    if colour == "command" and text.startswith("$ "):
        yield "$", "prompt"
        text = text[1:]
    marks = CUT if colour != "output" else f"{CUT}|{REFUSAL}"
    at = 0
    for mark in re.finditer(marks, text):
        if mark.start() > at:
            yield text[at:mark.start()], colour
        yield mark[0].replace(CUT, "…"), "comment" if mark[0] == CUT else "refusal"
        at = mark.end()
    if at < len(text):
        yield text[at:], colour


def drawn(lines):
    """The lines as a picture of a terminal."""
    width = round(2 * MARGIN + COLUMNS * CHARACTER)
    height = BAR + len(lines) * LINE + 2 * MARGIN - 8
    classes = "".join(f".{name}{{fill:{colour}}}" for name, colour in COLOURS.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"',
        f'  viewBox="0 0 {width} {height}" role="img">',
        "<title>The first minute with Carnet, in a terminal</title>",
        f"<style>text{{font:{FONT_SIZE}px {FONT};white-space:pre}}.command{{font-weight:600}}{classes}</style>",
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="9.5" fill="#12161c" stroke="#454c56"/>',
        f'<path d="M1 {BAR}V10a9 9 0 0 1 9-9H{width - 10}a9 9 0 0 1 9 9V{BAR}Z" fill="#252b34"/>',
        *(f'<circle cx="{MARGIN + 6 + 20 * number}" cy="{BAR // 2}" r="6" fill="#59626e"/>' for number in range(3)),
        f'<text class="comment" x="{width // 2}" y="{BAR // 2 + 5}" text-anchor="middle">carnet</text>',
        '<g xml:space="preserve">',
    ]
    for number, (text, colour) in enumerate(lines):
        if not text:
            continue
        y = BAR + MARGIN + 10 + number * LINE
        pieces = "".join(f'<tspan class="{name}">{escape(piece)}</tspan>' for piece, name in spans(text, colour))
        parts.append(f'<text x="{MARGIN}" y="{y}">{pieces}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--carnet", type=Path, default=ROOT / "target/release/carnet", help="the program to record")
    carnet = arguments.parse_args().carnet.absolute()
    if not carnet.is_file():
        sys.exit(f"there is no `{carnet}`\nhelp: cargo build --release -p carnet")
    with tempfile.TemporaryDirectory(prefix="carnet-") as folder:
        with Demo(carnet, Path(folder)) as demo:
            picture = drawn(record(demo))
        for place in (folder, str(carnet.parent)):
            if place in picture:
                sys.exit(f"the picture would show `{place}`")
    PICTURE.write_text(picture, encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)}: {len(picture.encode()):,} bytes")


if __name__ == "__main__":
    main()
