"""The stock Python client against the gateway: as an application would use it, and as it goes wrong."""

import asyncio
import time

import openai
from openai import AsyncOpenAI, OpenAI

from cases import (
    BASE_URL,
    KEY,
    case,
    closed_within_a_second,
    equal,
    expect_records,
    now_ms,
    run,
    seen_count,
    seen_from,
    words,
)


def client(**options):
    return OpenAI(**{"base_url": BASE_URL, "api_key": KEY, "max_retries": 0} | options)


def ask(prompt, model="mock-chat", of=None, **options):
    messages = [{"role": "user", "content": prompt}]
    return (of or client()).chat.completions.create(model=model, messages=messages, **options)


def refused(kind, *args, **options):
    """The exception of this kind that a request must end in."""
    try:
        ask(*args, **options)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


@case
def plain():
    """plain answer"""
    answer = ask("chunks=3")
    equal(answer.choices[0].message.content, words(3))
    equal(answer.model, "mock-chat")
    equal(answer.usage.total_tokens, 6)


@case
def upstream_sees_the_request_and_not_the_key():
    """the upstream gets the body as it was sent, its own key and not the caller's"""
    before = seen_count()
    ask("hello", temperature=0.5, extra_body={"x_unknown": {"kept": [1, 2.50]}}, extra_headers={"x-private": "secret"})
    (seen,) = seen_from(before)
    assert '"x_unknown":{"kept":[1,2.5]}' in seen["body"].replace(" ", ""), seen["body"]
    equal(seen["headers"]["authorization"], "Bearer upstream-key")
    assert KEY not in str(seen), "the caller's key went upstream"
    assert "x-private" not in seen["headers"], "a header outside the allow-list went upstream"


@case
def record_headers():
    """the answer's headers name the record and the decision"""
    raw = client().chat.completions.with_raw_response.create(
        model="mock-chat", messages=[{"role": "user", "content": "hello"}]
    )
    assert raw.headers["carnet-record"], raw.headers
    equal(raw.headers["carnet-decision"], "permit")


@case
def renamed():
    """a configured name reaches the upstream under the upstream's own"""
    before = seen_count()
    ask("hello", model="mock-renamed")
    (seen,) = seen_from(before)
    assert '"mock-other-name"' in seen["body"] and "mock-renamed" not in seen["body"], seen["body"]


@case
def models():
    """the list has what may be used, and not what may not"""
    ids = [model.id for model in client().models.list()]
    assert "mock-chat" in ids, ids
    assert "closed-python" not in ids, ids


@case
def streamed():
    """streamed answer"""
    chunks = list(ask("chunks=4 gap_ms=5", stream=True, stream_options={"include_usage": True}))
    equal("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), words(4))
    equal(chunks[-2].choices[0].finish_reason, "stop")
    equal(chunks[-1].usage.completion_tokens, 4)


@case
def streamed_as_it_comes():
    """a piece arrives before the next one is sent"""
    before = seen_count()
    for index, _ in zip(range(3), ask("chunks=3 gap_ms=400", stream=True)):
        (seen,) = seen_from(before)
        equal(seen["sent"], index + 1)


@case
def side_by_side():
    """many requests at once, plain and streamed, each with its own answer"""

    async def one(of, count):
        messages = [{"role": "user", "content": f"chunks={count} gap_ms=3"}]
        if count % 2:
            answer = await of.chat.completions.create(model="mock-chat", messages=messages)
            return answer.choices[0].message.content
        stream = await of.chat.completions.create(model="mock-chat", messages=messages, stream=True)
        return "".join([c.choices[0].delta.content or "" async for c in stream])

    async def all_of_them():
        async with AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as of:
            return await asyncio.gather(*(one(of, count) for count in range(1, 41)))

    equal(asyncio.run(all_of_them()), [words(count) for count in range(1, 41)])


@case
def cancelled():
    """a stream that is closed in its middle is closed upstream within a second"""
    before = seen_count()
    stream = ask("chunks=100 gap_ms=100", stream=True)
    for _ in zip(range(3), stream):
        pass
    at = now_ms()
    stream.close()
    seen = closed_within_a_second(before, at)
    assert seen["sent"] < 20, seen["sent"]


@case
def impatient():
    """a client that gives up waiting for the first byte is noticed upstream within a second"""
    before = seen_count()
    refused(openai.APITimeoutError, "first_ms=20000", of=client(timeout=0.5))
    closed_within_a_second(before, now_ms())


@case
def denied():
    """a denial is PermissionDeniedError with our message, and is not tried again"""
    before = seen_count()
    error = refused(openai.PermissionDeniedError, "hello", model="closed-python", of=client(max_retries=3))
    equal(error.status_code, 403)
    equal(error.code, "policy_denied")
    assert "The upstream named closed is off limits" in error.message, error.message
    assert error.response.headers["carnet-record"] in error.message + str(error.body), error.body
    equal(error.response.headers["x-should-retry"], "false")
    equal(seen_count(), before)
    expect_records("closed-python", 2)


@case
def denied_stream():
    """a denied stream never begins"""
    before = seen_count()
    refused(openai.PermissionDeniedError, "hello", model="closed-python", stream=True, of=client(max_retries=3))
    equal(seen_count(), before)


@case
def wrong_key():
    """a wrong key, a foreign key and an empty one are AuthenticationError"""
    before = seen_count()
    other = KEY[:-1] + ("a" if KEY[-1] != "a" else "b")
    for key in (other, "sk-foreign-0123456789", "x"):
        error = refused(openai.AuthenticationError, "hello", of=client(api_key=key, max_retries=3))
        equal(error.code, "invalid_api_key")
        assert key not in str(error.body) or key == "x", "the key is in the answer"
    equal(seen_count(), before)


@case
def unknown_model():
    """a model that is not configured is NotFoundError that says what to do"""
    error = refused(openai.NotFoundError, "hello", model="no-such-model", of=client(max_retries=3))
    equal(error.code, "model_not_found")
    assert "no-such-model" in error.message, error.message


@case
def down():
    """an upstream that is down is a clear 502, one record for each try of the client"""
    error = refused(openai.InternalServerError, "hello", model="down-python", of=client(max_retries=2))
    equal(error.status_code, 502)
    equal(error.code, "upstream_unreachable")
    expect_records("down-python", 3)


@case
def errors_pass():
    """the upstream's own errors keep their status, body and retry-after"""
    for status, kind in ((400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError), (503, openai.InternalServerError)):
        error = refused(kind, f"status={status} retry_after=7")
        equal(error.status_code, status)
        assert f"told to answer {status}" in error.message, error.message
        equal(error.response.headers["retry-after"], "7")


@case
def retried_by_the_client():
    """a try again is the client's own, with a record each"""
    before = seen_count()
    refused(openai.RateLimitError, "status=429 retry_after=0.01", model="retried-python", of=client(max_retries=2))
    equal(seen_count() - before, 3)
    expect_records("retried-python", 3)


@case
def cut_by_the_upstream():
    """a stream that the upstream cuts off ends in an error, not in a shorter answer"""
    got = []
    try:
        for chunk in ask("chunks=5 cut_after=2", stream=True):
            got.append(chunk)
    except Exception as error:
        assert not isinstance(error, AssertionError)
        equal(len(got), 2)
        return
    raise AssertionError(f"the stream ended quietly after {len(got)} pieces")


@case
def hung_up_by_the_upstream():
    """an upstream that hangs up without a word is a clear 502"""
    error = refused(openai.InternalServerError, "cut_after=0")
    equal((error.status_code, error.code), (502, "upstream_closed"))


@case
def redirected():
    """a redirect is refused, not followed"""
    before = seen_count()
    error = refused(openai.InternalServerError, "status=307 location=/elsewhere/chat/completions")
    equal((error.status_code, error.code), (502, "upstream_redirect"))
    equal(seen_count() - before, 1)


@case
def large():
    """a prompt of several megabytes passes whole"""
    before = seen_count()
    began = time.monotonic()
    equal(ask("ü" * 2_000_000 + " chunks=1").choices[0].message.content, words(1))
    (seen,) = seen_from(before)
    equal(seen["body"].count("ü") or seen["body"].count("\\u00fc"), 2_000_000)
    assert time.monotonic() - began < 10


SUM = "What is 47 + 85?"


@case
def reasoning():
    """the model that comes along gives its reasoning apart from its answer"""
    answer = ask(SUM, model="carnet-sums")
    message = answer.choices[0].message
    equal(message.content, "47 + 85 = 132.")
    assert "7 + 5 = 12" in message.reasoning_content, message
    usage = answer.usage
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens, usage
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)


@case
def reasoning_streamed():
    """streamed, the reasoning comes first and apart, and the usage at the end if it was asked for"""
    parts = {"reasoning_content": [], "content": []}
    chunks = list(ask(SUM, model="carnet-sums", stream=True, stream_options={"include_usage": True}))
    for index, chunk in enumerate(chunks):
        for name, found in parts.items():
            if chunk.choices and getattr(chunk.choices[0].delta, name, None):
                found.append((index, getattr(chunk.choices[0].delta, name)))
    equal("".join(text for _, text in parts["content"]), "47 + 85 = 132.")
    assert len(parts["reasoning_content"]) > 20, "it came in too few pieces"
    assert parts["reasoning_content"][-1][0] < parts["content"][0][0]
    equal(chunks[-2].choices[0].finish_reason, "stop")
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens > 20


@case
def reasoning_bounded():
    """less effort is less reasoning, and stop, length and choices do what they say"""
    none = ask(SUM, model="carnet-sums", reasoning_effort="none")
    assert not getattr(none.choices[0].message, "reasoning_content", None), none
    assert none.usage.completion_tokens_details.reasoning_tokens < 5, none.usage
    short = ask(SUM, model="carnet-sums", max_completion_tokens=5)
    equal((short.choices[0].finish_reason, short.usage.completion_tokens), ("length", 5))
    equal(ask(SUM, model="carnet-sums", stop=" = ").choices[0].message.content, "47 + 85")
    several = ask(SUM, model="carnet-sums", n=2, temperature=0.7, seed=1)
    equal([choice.index for choice in several.choices], [0, 1])
    again = ask(SUM, model="carnet-sums", n=2, temperature=0.7, seed=1)
    equal([choice.message for choice in again.choices], [choice.message for choice in several.choices])


@case
def reasoning_beyond():
    """to what it was not made for it says what it can do, and remembers no reasoning of its own"""
    assert "demonstration model" in ask("Write a poem on the sea.", model="carnet-sums").choices[0].message.content
    turns = [
        {"role": "system", "content": "You are a calculator."},
        {"role": "user", "content": "What is 3 + 4?"},
        {"role": "assistant", "content": "3 + 4 = 7."},
        {"role": "user", "content": [{"type": "text", "text": "And what is 12 + 30?"}]},
    ]
    answer = client().chat.completions.create(model="carnet-sums", messages=turns)
    assert answer.choices[0].message.content.endswith("= 42."), answer


@case
def reasoning_refused():
    """what the engine does not do is a structured error of the kind that the client knows"""
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    for options, code in (({"tools": [tool]}, "unsupported_parameter"), ({"n": 9}, "invalid_value"),
                          ({"temperature": -1}, "generation_setting_invalid")):
        error = refused(openai.BadRequestError, SUM, model="carnet-sums", **options)
        equal(error.code, code)
        assert len(error.message) > 20, error.message
    error = refused(openai.BadRequestError, "word " * 3000, model="carnet-sums", stream=True)
    equal(error.code, "context_length_exceeded")


if __name__ == "__main__":
    run()
