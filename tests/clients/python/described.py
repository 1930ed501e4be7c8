"""Checks for Schemathesis: answers are as described, and an error has the shape of the dialect, whatever was asked."""

import schemathesis
from schemathesis.specs.openapi.checks import response_schema_conformance


@schemathesis.check
def answer_as_described(ctx, response, case):
    # The description gives the 404 of two operations without the `error` around it, as no server answers.
    if response.status_code < 400:
        return response_schema_conformance(ctx, response, case)


@schemathesis.check
def error_shape(ctx, response, case):
    if response.status_code < 400:
        return
    error = response.json().get("error")
    assert isinstance(error, dict), f"no `error` in {response.text[:300]}"
    for name in ("message", "type", "code"):
        assert isinstance(error.get(name), str) and error[name], f"no `{name}` in {error}"
    assert isinstance(error.get("param"), (str, type(None))), f"`param` in {error}"
