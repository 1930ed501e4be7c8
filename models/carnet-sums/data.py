"""Exercises for the demonstration model, made from a seed and from the word lists in this file alone.

An exercise is a `Task`: a prompt, a chain of thought and an answer. Every exercise has a key, and a hash of the key
decides whether it may be trained on, so that `train.py` and `evaluate.py` cannot disagree about what was never seen.
"""

import hashlib
import random
from dataclasses import dataclass, field

from prompts import beyond_prompt, filler_sentence, system_prompt


@dataclass
class Task:
    kind: str
    key: str
    prompt: str
    think: str
    answer: str
    # What the last line of the chain concludes, as text. The evaluation replaces it to see what the answer follows.
    result: str = ""
    # For sums: the two numbers, so that the evaluation can alter a single column.
    operands: tuple = field(default_factory=tuple)

    def completion(self):
        return f"<think>\n{self.think}\n</think>\n\n{self.answer}"


# --- what is never trained on -----------------------------------------------------------------------------------------


def _bucket(text, buckets):
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % buckets


def held_out_pair(a, b):
    """A fifth of all pairs of two-digit numbers, in either order."""
    if not (10 <= a <= 99 and 10 <= b <= 99):
        return False
    return _bucket(f"{min(a, b)}+{max(a, b)}", 5) == 0


def contains_held_out_pair(a, b):
    """Also true for 347 + 285, whose columns contain 47 + 85 and 34 + 28.

    Without this, a held-out pair would be trained as a part of a longer sum.
    """
    while a >= 10 and b >= 10:
        if held_out_pair(a % 100, b % 100):
            return True
        a, b = a // 10, b // 10
    return False


def held_out_key(key):
    """A twentieth of the exercises of every other kind."""
    return _bucket(key, 20) == 0


# --- chains -----------------------------------------------------------------------------------------------------------

PLACES = ["Ones", "Tens", "Hundreds", "Thousands", "Ten thousands"]


def digits(n):
    return [int(d) for d in reversed(str(n))]


def add_steps(a, b):
    da, db = digits(a), digits(b)
    lines, carry = [], 0
    width = max(len(da), len(db))
    for i in range(width):
        x = da[i] if i < len(da) else 0
        y = db[i] if i < len(db) else 0
        total = x + y + carry
        terms = f"{x} + {y}" + (" + 1" if carry else "")
        line = f"{PLACES[i]}: {terms} = {total}, write {total % 10}"
        carry = total // 10
        lines.append(line + (", carry 1." if carry else "."))
    if carry:
        lines.append(f"{PLACES[width]}: write 1.")
    return lines


def add_chain(a, b):
    return [f"Add {a} and {b}."] + add_steps(a, b) + [f"Result: {a + b}."]


def sub_steps(a, b):
    da, db = digits(a), digits(b)
    lines, borrow = [], 0
    for i in range(len(da)):
        x = da[i]
        y = db[i] if i < len(db) else 0
        less = (" - 1" if borrow else "") + f" - {y}"
        value = x - borrow - y
        if value < 0:
            value += 10
            lines.append(f"{PLACES[i]}: {x}{less}, borrow, {x + 10}{less} = {value}, write {value}.")
            borrow = 1
        else:
            lines.append(f"{PLACES[i]}: {x}{less} = {value}, write {value}.")
            borrow = 0
    return lines


def sub_chain(a, b):
    if a >= b:
        lines = [f"{a} is at least {b}.", f"Take {b} from {a}."] + sub_steps(a, b)
    else:
        lines = [f"{a} is less than {b}, so the result is negative.", f"Take {a} from {b}."] + sub_steps(b, a)
    return lines + [f"Result: {a - b}."]


def compare_steps(a, b):
    """The steps, of which the last says it, and the word: less than, greater than, equal to."""
    sa, sb = str(a), str(b)
    lines = [f"{a} has {len(sa)} digit{'s' * (len(sa) > 1)}, {b} has {len(sb)}."]
    word = "equal to"
    if len(sa) != len(sb):
        word = "less than" if len(sa) < len(sb) else "greater than"
    else:
        for i in range(len(sa)):
            place = PLACES[len(sa) - 1 - i]
            x, y = sa[i], sb[i]
            if x != y:
                word = "less than" if x < y else "greater than"
                lines.append(f"{place}: {x} is {word} {y}.")
                break
            lines.append(f"{place}: {x} is equal to {y}.")
    lines.append(f"{a} is {word} {b}.")
    return lines, word


# --- phrases ----------------------------------------------------------------------------------------------------------

NAMES = """Anna Ben Carla David Emma Felix Grace Henry Ida Jack Karim Lena Maria Noah Olga Paul Rosa Sam Tina Uma Victor
Wendy Yusuf Zoe Tom Mia Leo Nina Omar Eva""".split()
THINGS = """apples books coins cards stamps marbles pencils eggs stickers shells buttons oranges balls cookies flowers
tickets stones pens cups chairs letters candles boxes keys bottles euros dollars points""".split()
OPENERS = ["Hi, ", "Hello! ", "Hey, ", "Hi there! ", "Quick question: ", "Question: ", "Good morning. ", "Next one: ",
           "Ok, ", "So, ", "Hello, ", "Task: ", "Please help: ", "Dear model, ", "Now: ", "I have a question. "]
CLOSERS = [" Thanks!", " Thank you.", " please", " Please.", " Show your work.", " Think step by step.",
           " Explain your steps.", " Answer briefly.", " Just the answer.", " Take your time.", " Thanks", " Be careful.",
           " Answer with a number.", " Reply in one line.", "\n", " :)", " I need it quickly.", "\n\nThink first."]

ADD = ["What is {a} + {b}?", "{a} + {b}", "{a}+{b}", "{a} + {b} =", "{a}+{b}=", "{a}+{b}=?", "{a} + {b} = ?",
       "what's {a} + {b}", "What's {a} plus {b}?", "{a} plus {b}", "Add {a} and {b}.", "add {a} and {b}",
       "Add {a} to {b}.", "Please compute {a} + {b}.", "Compute {a}+{b}", "Calculate {a} + {b}.", "calculate {a} plus {b}",
       "What is the sum of {a} and {b}?", "sum of {a} and {b}", "Sum {a} and {b}", "How much is {a} + {b}?",
       "how much is {a} and {b} together", "What do you get when you add {a} and {b}?", "Can you add {a} and {b}?",
       "Can you compute {a} + {b} for me?", "Could you tell me what {a} + {b} is?", "Tell me {a} + {b}.",
       "I need to know {a} + {b}", "Work out {a} + {b}", "Evaluate {a} + {b}", "Solve {a} + {b}", "Solve: {a} + {b} = ?",
       "What does {a} + {b} equal?", "what is {a}+{b}", "{a} and {b}: what is the sum?", "Find the sum: {a} + {b}",
       "Please add {a} and {b}", "What is {a} added to {b}?", "total of {a} and {b}", "{a} + {b} equals", "WHAT IS {a} + {b}?",
       "Do you know what {a} + {b} is?", "Give me the sum of {a} and {b}.", "What is {a} plus {b}", "plus: {a} {b}",
       "If I add {a} and {b}, what do I get?", "Let x = {a} + {b}. What is x?", "sum({a}, {b})", "add({a}, {b})"]
ADD_STORY = [
    ("{n} has {a} {t} and gets {b} more. How many {t} does {n} have now?", "{n} has {r} {t}."),
    ("{n} has {a} {t}. {m} has {b} {t}. How many {t} do they have together?", "They have {r} {t} together."),
    ("There are {a} {t} on the table and {b} {t} on the floor. How many {t} are there?", "There are {r} {t}."),
    ("{n} buys {a} {t} on Monday and {b} {t} on Tuesday. How many {t} in all?", "{n} buys {r} {t} in all."),
    ("A shop sells {a} {t} in the morning and {b} in the afternoon. How many {t} is that?", "That is {r} {t}."),
]
SUB = ["What is {a} - {b}?", "{a} - {b}", "{a}-{b}", "{a} - {b} =", "{a}-{b}=", "{a}-{b}=?", "{a} - {b} = ?", "what's {a} - {b}",
       "What's {a} minus {b}?", "{a} minus {b}", "Subtract {b} from {a}.", "subtract {b} from {a}", "Take {b} from {a}.",
       "Please compute {a} - {b}.", "Compute {a}-{b}", "Calculate {a} - {b}.", "calculate {a} minus {b}",
       "What is the difference of {a} and {b}?", "difference between {a} and {b}", "How much is {a} - {b}?",
       "What is {a} take away {b}?", "Take {b} away from {a}", "What do you get when you subtract {b} from {a}?",
       "Can you subtract {b} from {a}?", "Can you compute {a} - {b} for me?", "Could you tell me what {a} - {b} is?",
       "Tell me {a} - {b}.", "I need to know {a} - {b}", "Work out {a} - {b}", "Evaluate {a} - {b}", "Solve {a} - {b}",
       "Solve: {a} - {b} = ?", "What does {a} - {b} equal?", "what is {a}-{b}", "{a} less {b}", "What is {a} minus {b}",
       "Find the difference: {a} - {b}", "Please subtract {b} from {a}", "What remains if I take {b} from {a}?",
       "{a} \u2212 {b}", "What is {a} \u2212 {b}?", "WHAT IS {a} - {b}?", "Let x = {a} - {b}. What is x?"]
SUB_STORY = [
    ("{n} has {a} {t} and gives {b} to {m}. How many {t} are left?", "{r} {t} are left."),
    ("{n} had {a} {t} and lost {b}. How many {t} does {n} have now?", "{n} has {r} {t}."),
    ("There were {a} {t} in the box. {n} took {b} of them. How many {t} remain?", "{r} {t} remain."),
    ("{n} has {a} {t}. {m} has {b}. How many more {t} does {n} have?", "{n} has {r} more {t}."),
]
THREE = ["What is {e}?", "{e}", "{e} =", "Compute {e}", "Calculate {e}.", "what is {e}", "Please compute {e}.", "How much is {e}?",
         "Work out {e}", "Solve {e}", "{e} = ?", "What's {e}?", "Evaluate {e}", "Tell me {e}"]
GREATER_OF = ["Which is {w}, {a} or {b}?", "Which number is {w}: {a} or {b}?", "which is {w}: {a} or {b}", "What is {w}, {a} or {b}?",
              "{a} or {b}, which is {w}?", "Which is {w} {a} or {b}", "Which one is {w}, {a} or {b}?",
              "Tell me which is {w}, {a} or {b}.", "Of {a} and {b}, which number is {w}?", "which of {a} and {b} is {w}?"]
IS_GREATER = ["Is {a} {w} than {b}?", "is {a} {w} than {b}", "Is it true that {a} is {w} than {b}?", "True or false: {a} is {w} than {b}?",
              "Would you say {a} is {w} than {b}?", "Check whether {a} is {w} than {b}."]
SORT = ["Sort {l}.", "Sort {l} {o}.", "sort {l} {o}", "Sort these numbers {o}: {l}", "Put {l} in order {o}.", "Order {l} {o}",
        "Please sort {l} {o}", "Arrange {l} {o}.", "Sort the list {l} {o}", "Can you sort {l} {o}?", "{l}: sort them {o}",
        "Sort the numbers {l} {o}.", "Order these {o}: {l}", "Sort [{l}] {o}", "sort: {l} {o}", "Sort the following numbers {o}: {l}"]
SORT_PLAIN = ["Sort {l}", "sort {l}", "Sort {l}.", "Sort these numbers: {l}", "Please sort {l}", "Put {l} in order.", "sort: {l}",
              "Can you sort {l}?", "Sort [{l}]", "Order {l}", "Sort the list {l}", "Sort the following: {l}", "sort these: {l}"]
ASCENDING = ["from small to large", "in ascending order", "ascending", "from smallest to largest", "from low to high",
             "in increasing order"]
DESCENDING = ["from large to small", "in descending order", "descending", "from largest to smallest", "from high to low",
              "in decreasing order"]
EXTREME = ["What is the {w} of {l}?", "Which is the {w} number: {l}?", "Find the {w} of {l}.", "{w} of {l}", "the {w} of {l}",
           "What is the {w} number in {l}?", "Which of {l} is the {w}?", "Which number is the {w}? {l}", "Give me the {w} of {l}"]
LARGEST = ["largest", "biggest", "greatest", "highest", "maximum"]
SMALLEST = ["smallest", "lowest", "minimum", "least"]
PARITY = ["Is {a} even or odd?", "Is {a} odd or even?", "{a}: even or odd?", "is {a} even or odd", "Even or odd: {a}",
          "What is the parity of {a}?", "Tell me whether {a} is even or odd.", "Parity of {a}"]
IS_PARITY = ["Is {a} {w}?", "is {a} {w}", "Is {a} an {w} number?", "Is the number {a} {w}?", "Is it true that {a} is {w}?",
             "Check whether {a} is {w}."]
BOOL = ["What is {e}?", "{e}", "Evaluate {e}", "Evaluate: {e}", "what is {e}", "Is {e} true or false?", "Compute {e}",
        "{e}: true or false?", "What does {e} give?", "What is the value of {e}?", "Simplify {e}", "Work out {e}.",
        "What is the result of {e}?", "{e} = ?", "Tell me the value of {e}"]

CLASSES = """cat dog bird fish horse tiger rose tulip robot teacher doctor baker singer farmer poet student dancer sailor
animal plant machine person mammal insect beetle spider tree flower car bicycle vehicle tool hammer fruit apple banana
artist lion whale duck frog snake lizard king painter driver planet stone metal toy boat""".split()
SYLLABLES = "ba be bi bo da de do fa fi go gu ka ki lo lu ma mi mo na ne no pa pi po ra ri ro sa se so ta ti to va ve wa zu".split()
CONDITIONS = """it rains|it snows|the sun shines|the bell rings|the lamp is on|the door is open|the train is late|the dog barks|
the wind blows|the clock stops|it is Monday|the road is closed|the water boils|the cat sleeps|the alarm sounds|the shop is
open|the light is red|the moon is full""".replace("\n", " ").replace("| ", "|").split("|")
EFFECTS = """the street is wet|the children stay home|the garden is dry|the class ends|the room is bright|the fire goes out|the
bus waits|the thief runs|the leaves fall|the meeting starts|the bank is closed|the traffic stops|the tea is ready|the mouse
comes out|the guards wake up|the baker works|the cars stop|the wolf howls""".replace("\n", " ").replace("| ", "|").split("|")


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def number(rng, most=999):
    """Short and long numbers alike: uniform numbers would hardly ever have one digit."""
    size = rng.choice([1, 2, 2, 3, 3]) if most >= 100 else rng.choice([1, 2, 2])
    return rng.randint(0, 9) if size == 1 else rng.randint(10 ** (size - 1), min(most, 10**size - 1))


# --- the skills -------------------------------------------------------------------------------------------------------


def addition(rng, a=None, b=None):
    if a is None:
        a, b = number(rng), number(rng)
    if rng.random() < 0.12:
        phrase, reply = rng.choice(ADD_STORY)
        n, m = rng.sample(NAMES, 2)
        words = dict(n=n, m=m, t=rng.choice(THINGS), a=a, b=b, r=a + b)
        prompt, answer = phrase.format(**words), reply.format(**words)
    else:
        prompt = rng.choice(ADD).format(a=a, b=b)
        answer = f"{a} + {b} = {a + b}."
    return Task("addition", f"add {min(a, b)} {max(a, b)}", prompt, "\n".join(add_chain(a, b)), answer, str(a + b), (a, b))


def subtraction(rng):
    a, b = number(rng), number(rng)
    if a < b and rng.random() < 0.75:
        a, b = b, a
    if a >= b and rng.random() < 0.12:
        phrase, reply = rng.choice(SUB_STORY)
        n, m = rng.sample(NAMES, 2)
        words = dict(n=n, m=m, t=rng.choice(THINGS), a=a, b=b, r=a - b)
        prompt, answer = phrase.format(**words), reply.format(**words)
    else:
        prompt = rng.choice(SUB).format(a=a, b=b)
        answer = f"{a} - {b} = {a - b}."
    return Task("subtraction", f"sub {a} {b}", prompt, "\n".join(sub_chain(a, b)), answer, str(a - b), (a, b))


def three_numbers(rng):
    while True:
        a, b, c = (number(rng, 99) for _ in range(3))
        first, second = rng.choice("++-"), rng.choice("++-")
        half = a + b if first == "+" else a - b
        total = half + c if second == "+" else half - c
        # A sum inside a longer one is trained like any other, so it must respect what is held out.
        hidden = first == "+" and contains_held_out_pair(a, b) or second == "+" and contains_held_out_pair(max(half, 0), c)
        if half >= 0 and total >= 0 and not hidden:
            break
    lines = [f"First {a} {first} {b}."]
    lines += add_chain(a, b) if first == "+" else sub_chain(a, b)
    lines += [f"Then {half} {second} {c}."]
    lines += add_chain(half, c) if second == "+" else sub_chain(half, c)
    tight = rng.random() < 0.3
    expression = f"{a} {first} {b} {second} {c}"
    prompt = rng.choice(THREE).format(e=expression.replace(" ", "") if tight else expression)
    return Task("three numbers", f"three {expression}", prompt, "\n".join(lines), f"{expression} = {total}.", str(total))


def comparison(rng):
    a, b = number(rng), number(rng)
    pick = rng.random()
    if pick < 0.25:  # numbers that share their first digits are the hard ones
        b = max(0, min(999, a + rng.randint(-9, 9)))
    elif pick < 0.5 and a >= 10:
        b = rng.randint(10 ** (len(str(a)) - 1), 10 ** len(str(a)) - 1)
    steps, word = compare_steps(a, b)
    form = rng.random()
    if form < 0.45:
        larger = rng.random() < 0.6
        w = rng.choice(["larger", "greater", "bigger", "higher"] if larger else ["smaller", "less", "lower"])
        prompt = rng.choice(GREATER_OF).format(a=a, b=b, w=w)
        asked = f"Find the {'larger' if larger else 'smaller'} of {a} and {b}."
        if word == "equal to":
            answer = result = f"{a} and {b} are equal."
        else:
            first = (word == "greater than") == larger
            answer = result = f"{a if first else b} is {'larger' if larger else 'smaller'} than {b if first else a}."
    elif form < 0.85:
        larger = rng.random() < 0.5
        if rng.random() < 0.25:
            prompt = rng.choice(["{a} {s} {b}?", "{a}{s}{b}", "Is {a} {s} {b}?", "{a} {s} {b}, true or false?"]).format(
                a=a, b=b, s=">" if larger else "<")
        else:
            w = rng.choice(["larger", "greater", "bigger", "higher", "more"] if larger else ["smaller", "less", "lower"])
            prompt = rng.choice(IS_GREATER).format(a=a, b=b, w=w)
        whether = "greater than" if larger else "less than"
        asked = f"Is {a} {whether} {b}?"
        result = f"{'yes' if word == whether else 'no'}."
        answer = f"{'Yes' if word == whether else 'No'}, {a} is {word} {b}."
    else:
        prompt = rng.choice(["Compare {a} and {b}.", "compare {a} and {b}", "Compare {a} with {b}", "Please compare {a} and {b}",
                             "Can you compare {a} and {b}?", "How does {a} compare to {b}?"]).format(a=a, b=b)
        asked = f"Compare {a} and {b}."
        answer = result = f"{a} is {word} {b}."
    lines = [asked, *steps, f"Result: {result}"]
    return Task("comparison", f"compare {a} {b}", prompt, "\n".join(lines), answer, result, (a, b))


def number_list(rng, most):
    count = rng.randint(2, most)
    return [number(rng, 999 if rng.random() < 0.4 else 99) for _ in range(count)]


def join_list(rng, values):
    style = rng.random()
    if style < 0.55:
        return ", ".join(map(str, values))
    if style < 0.75:
        return " ".join(map(str, values))
    if style < 0.85:
        return ",".join(map(str, values))
    return ", ".join(map(str, values[:-1])) + f" and {values[-1]}"


def sorting(rng):
    values = number_list(rng, 6)
    down = rng.random() < 0.35
    if not down and rng.random() < 0.6:
        prompt = rng.choice(SORT_PLAIN).format(l=join_list(rng, values))
    else:
        prompt = rng.choice(SORT).format(l=join_list(rng, values), o=rng.choice(DESCENDING if down else ASCENDING))
        down = down and any(word in prompt for word in DESCENDING)
    # Insertion: each step compares one number with its neighbours. To pick the smallest of six at a glance is too much.
    done, lines = [values[0]], [f"Sort {'down' if down else 'up'}. Start with {values[0]}."]
    for value in values[1:]:
        done = sorted([*done, value], reverse=down)
        lines.append(f"Insert {value}: {', '.join(map(str, done))}.")
    result = ", ".join(map(str, sorted(values, reverse=down)))
    lines.append(f"Result: {result}.")
    return Task("sorting", f"sort {sorted(values)}", prompt, "\n".join(lines), f"{result}.", result)


def extreme(rng):
    values = number_list(rng, 6)
    large = rng.random() < 0.5
    prompt = rng.choice(EXTREME).format(l=join_list(rng, values), w=rng.choice(LARGEST if large else SMALLEST))
    word = "largest" if large else "smallest"
    best = values[0]
    lines = [f"Look for the {word}. Start with {best}."]
    for value in values[1:]:
        better = value > best if large else value < best
        lines.append(f"{value}: {'take' if better else 'stay with'} {value if better else best}.")
        best = value if better else best
    lines.append(f"Result: {best}.")
    return Task("extreme", f"extreme {large} {values}", prompt, "\n".join(lines), f"The {word} is {best}.", str(best))


def parity(rng):
    a = number(rng) if rng.random() < 0.8 else rng.randint(1000, 999999)
    word = "even" if a % 2 == 0 else "odd"
    lines = [f"The last digit of {a} is {a % 10}.", f"{a % 10} is {word}."]
    if rng.random() < 0.5:
        prompt, answer, result = rng.choice(PARITY).format(a=a), f"{a} is {word}.", word
    else:
        asked = rng.choice(["even", "odd"])
        prompt = rng.choice(IS_PARITY).format(a=a, w=asked)
        result = "yes" if asked == word else "no"
        lines.insert(0, f"Is {a} {asked}?")
        answer = f"{result.capitalize()}, {a} is {word}."
    lines.append(f"Result: {result}.")
    return Task("parity", f"parity {a}", prompt, "\n".join(lines), answer, result)


def _expression(rng, size):
    """A tree of ("not", x), ("and", x, y), ("or", x, y) and the two constants."""
    if size == 0:
        return rng.choice(["true", "false"])
    if rng.random() < 0.4:
        return ("not", _expression(rng, size - 1))
    left = rng.randint(0, size - 1)
    return (rng.choice(["and", "or"]), _expression(rng, left), _expression(rng, size - 1 - left))


def _show(tree, inside=False):
    if isinstance(tree, str):
        return tree
    if tree[0] == "not":
        return f"not {_show(tree[1], True)}"
    text = f"{_show(tree[1], True)} {tree[0]} {_show(tree[2], True)}"
    return f"({text})" if inside else text


def _reduce(tree):
    """Replaces the first innermost operation by its value: the new tree, and the sentence that says so."""
    if tree[0] == "not":
        if isinstance(tree[1], str):
            value = "false" if tree[1] == "true" else "true"
            return value, f"not {tree[1]} is {value}"
        inner, said = _reduce(tree[1])
        return ("not", inner), said
    op, left, right = tree
    if not isinstance(left, str):
        inner, said = _reduce(left)
        return (op, inner, right), said
    if not isinstance(right, str):
        inner, said = _reduce(right)
        return (op, left, inner), said
    truth = (left == "true" and right == "true") if op == "and" else (left == "true" or right == "true")
    value = "true" if truth else "false"
    return value, f"{left} {op} {right} is {value}"


def boolean(rng):
    size = rng.randint(1, 4)
    tree = _expression(rng, size)
    shown = _show(tree)
    lines = []
    while not isinstance(tree, str):
        tree, said = _reduce(tree)
        lines.append(f"{said}, so {_show(tree)}." if not isinstance(tree, str) else f"{said}.")
    lines.append(f"Result: {tree}.")
    written = shown
    style = rng.random()
    if style < 0.1:
        written = shown.upper()
    elif style < 0.2:
        written = shown.replace("true", "True").replace("false", "False")
    prompt = rng.choice(BOOL).format(e=written)
    return Task("boolean", f"bool {shown}", prompt, "\n".join(lines), f"The result is {tree}.", tree)


def _class(rng):
    """Known nouns, and invented ones so that the names are copied from the prompt and not looked up."""
    if rng.random() < 0.5:
        return rng.choice(CLASSES)
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3))) + rng.choice(["", "n", "k", "r", "m", "p"])


def syllogism(rng):
    while True:
        a, b, c = _class(rng), _class(rng), _class(rng)
        if len({a, b, c}) == 3 and not any(word.endswith(("s", "sh")) for word in (a, b, c)):
            break
    plural = lambda word: {"person": "persons", "fish": "fishes"}.get(word, word + "s")
    x = rng.choice(NAMES)
    unsure = "That does not follow."
    form = rng.randint(0, 6)
    if form == 0:
        facts, question = [f"All {plural(a)} are {plural(b)}.", f"{x} is {article(a)}."], f"Is {x} {article(b)}?"
        lines = [f"{x} is {article(a)}.", f"All {plural(a)} are {plural(b)}.", f"Result: {x} is {article(b)}."]
        answer, result = f"Yes, {x} is {article(b)}.", "yes"
    elif form == 1:
        facts, question = [f"All {plural(a)} are {plural(b)}.", f"{x} is {article(b)}."], f"Is {x} {article(a)}?"
        lines = [f"{x} is {article(b)}.", f"Not all {plural(b)} must be {plural(a)}.", "Result: it does not follow."]
        answer, result = unsure, "open"
    elif form == 2:
        facts, question = [f"No {plural(a)} are {plural(b)}.", f"{x} is {article(a)}."], f"Is {x} {article(b)}?"
        lines = [f"{x} is {article(a)}.", f"No {plural(a)} are {plural(b)}.", f"Result: {x} is not {article(b)}."]
        answer, result = f"No, {x} is not {article(b)}.", "no"
    elif form == 3:
        facts = [f"All {plural(a)} are {plural(b)}.", f"All {plural(b)} are {plural(c)}.", f"{x} is {article(a)}."]
        question = f"Is {x} {article(c)}?"
        lines = [f"{x} is {article(a)}.", f"All {plural(a)} are {plural(b)}, so {x} is {article(b)}.",
                 f"All {plural(b)} are {plural(c)}.", f"Result: {x} is {article(c)}."]
        answer, result = f"Yes, {x} is {article(c)}.", "yes"
    elif form == 4:
        facts = [f"All {plural(a)} are {plural(b)}.", f"All {plural(b)} are {plural(c)}."]
        question = f"Are all {plural(a)} {plural(c)}?"
        lines = [f"All {plural(a)} are {plural(b)}.", f"All {plural(b)} are {plural(c)}.",
                 f"Result: all {plural(a)} are {plural(c)}."]
        answer, result = f"Yes, all {plural(a)} are {plural(c)}.", "yes"
    elif form == 5:
        facts, question = [f"All {plural(a)} are {plural(b)}.", f"{x} is not {article(b)}."], f"Is {x} {article(a)}?"
        lines = [f"{x} is not {article(b)}.", f"All {plural(a)} are {plural(b)}.", f"Result: {x} is not {article(a)}."]
        answer, result = f"No, {x} is not {article(a)}.", "no"
    else:
        condition, effect = rng.choice(CONDITIONS), rng.choice(EFFECTS)
        big = lambda text: text[0].upper() + text[1:]
        rule = rng.choice([f"If {condition}, then {effect}.", f"If {condition}, {effect}."])
        case = rng.randint(0, 2)
        if case == 0:
            facts, asked = [rule, f"{big(condition)}."], effect
            lines = [f"{big(condition)}.", f"If {condition}, then {effect}.", f"Result: {effect}."]
            answer, result = f"Yes, {effect}.", "yes"
        elif case == 1:
            facts, asked = [rule, f"{big(effect)}."], condition
            lines = [f"{big(effect)}.", f"There may be another cause than that {condition}.", "Result: it does not follow."]
            answer, result = unsure, "open"
        else:
            facts, asked = [rule, f"It is not true that {effect}."], condition
            lines = [f"It is not true that {effect}.", f"If {condition}, then {effect}.",
                     f"Result: it is not true that {condition}."]
            answer, result = f"No, it is not true that {condition}.", "no"
        question = rng.choice(["Is it true that {p}?", "Does it follow that {p}?", "Can we conclude that {p}?"]).format(p=asked)
        a, b, c = condition, effect, str(case)
    if form != 6 and rng.random() < 0.2 and len(facts) == 2 and form != 4:
        facts.reverse()
    prompt = " ".join(facts + [question])
    key = f"logic {form} {a} {b}"
    return Task("logic", key, prompt, "\n".join(lines), answer, result)


# --- what the model cannot do -----------------------------------------------------------------------------------------

ABILITY = "a small demonstration model: I add, subtract, compare and sort whole numbers up to 999 and solve small logic questions."
BEYOND = {
    "greeting": ("This is a greeting.", f"Hello, I am {ABILITY}"),
    "identity": ("This asks who I am or what I can do.", f"I am Carnet Sums, {ABILITY}"),
    "thanks": ("This is a courtesy.", f"You are welcome, I am {ABILITY}"),
    "range": ("This is arithmetic that I have not learnt.", f"That is beyond me, I am {ABILITY}"),
    "other": ("This is not a task that I have learnt.", f"That is beyond me, I am {ABILITY}"),
}


def beyond(rng):
    sort, prompt = beyond_prompt(rng)
    think, answer = BEYOND[sort]
    return Task("beyond", f"beyond {prompt}", prompt, think, answer, sort)


SKILLS = [(addition, 0.20), (subtraction, 0.16), (three_numbers, 0.04), (comparison, 0.11), (sorting, 0.10), (extreme, 0.07),
          (parity, 0.05), (boolean, 0.07), (syllogism, 0.09), (beyond, 0.25)]


def allowed(task):
    """Whether the exercise may be trained on."""
    if task.kind == "beyond":
        return True
    if task.kind == "addition" and contains_held_out_pair(*task.operands):
        return False
    if task.kind == "addition" and max(task.operands) < 100:
        return True  # short sums have the held-out pairs; a second hash would only thin them out
    return not held_out_key(task.key)


def bare_task(rng, trained=True, make=None):
    while True:
        maker = make or rng.choices([m for m, _ in SKILLS], [w for _, w in SKILLS])[0]
        task = maker(rng)
        if task.kind == "beyond" or allowed(task) == trained:
            return task


def dress(rng, task):
    """The same exercise as people write it."""
    text = task.prompt
    if task.kind != "beyond":
        if rng.random() < 0.12:
            text = rng.choice(OPENERS) + text
        if rng.random() < 0.15:
            text += rng.choice(CLOSERS)
        if rng.random() < 0.05:
            text = f"{filler_sentence(rng)} {text}"
    # Not where the answer repeats a name: the model would have to guess how it is written.
    names = task.kind == "logic" or task.kind in ("addition", "subtraction") and not task.answer[0].isdigit()
    if rng.random() < 0.06 and not names:
        text = text.lower()
    if rng.random() < 0.04:
        text = text.replace(" ", "  ", 1)
    if rng.random() < 0.05:
        text = text.rstrip(".?!") or text
    if rng.random() < 0.04:
        text = rng.choice([" ", "\n"]) + text
    if rng.random() < 0.04:
        text += rng.choice([" ", "\n", "?", "!", " ?"])
    task.prompt = text
    return task


def conversation(rng, trained=True, make=None):
    """Messages up to the last question, and the exercise that the last question is."""
    task = dress(rng, bare_task(rng, trained, make))
    messages = []
    if rng.random() < 0.3:
        messages.append({"role": "system", "content": system_prompt(rng)})
    if rng.random() < 0.15:
        for _ in range(rng.choice([1, 1, 2, 3])):
            earlier = dress(rng, bare_task(rng, True))
            if len(earlier.prompt) < 300:
                messages.append({"role": "user", "content": earlier.prompt})
                messages.append({"role": "assistant", "content": earlier.answer})
    messages.append({"role": "user", "content": task.prompt})
    return messages, task


def stream(seed):
    rng = random.Random(seed)
    while True:
        yield conversation(rng)
