"""What the product tells an OpenTelemetry collector, read by the classes that OpenTelemetry generates from its own protocol."""

import http.server
import json
import os
import pathlib
import threading
import urllib.error
import urllib.request

from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cases import BASE_URL, KEY, case, equal, run, until

ADDRESS = pathlib.Path(os.environ["CARNET_FILE"]).read_text().strip()
KINDS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

arrived = []


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        message = KINDS[self.path]()
        message.ParseFromString(body)
        arrived.append((self.path, self.headers["content-type"], message))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


def ask(model, **headers):
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "chunks=3 gap_ms=1"}]}
    request = urllib.request.Request(f"{BASE_URL}/chat/completions", data=json.dumps(body).encode())
    request.add_header("authorization", f"Bearer {KEY}")
    request.add_header("content-type", "application/json")
    for name, value in headers.items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request) as answer:
            answer.read()
            return answer.headers["carnet-record"]
    except urllib.error.HTTPError as refused:
        refused.read()
        return refused.headers["carnet-record"]


def spans_of(record):
    """The spans of a request, by their kinds."""
    found = [
        span
        for path, _, message in arrived
        if path == "/v1/traces"
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if attributes(span).get("carnet.record.id") == record
    ]
    return {span.kind: span for span in found}


def attributes(thing):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in thing.attributes}


def unknown(message):
    """Fields that the protocol does not have, in a message and all below it."""
    found = [field.field_number for field in UnknownFieldSet(message)]
    for field, value in message.ListFields():
        if field.message_type is not None:
            parts = value if field.is_repeated else [value]
            found += [number for part in parts for number in unknown(part)]
    return found


@case
def a_request_is_two_spans_of_its_callers_trace():
    record = ask("mock-chat", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01", tracestate="a=1")
    spans = until(lambda: len(spans_of(record)) == 2 and spans_of(record))
    server, client = spans[Span.SPAN_KIND_SERVER], spans[Span.SPAN_KIND_CLIENT]
    equal((server.trace_id.hex(), client.trace_id.hex()), (TRACE, TRACE))
    equal((server.parent_span_id.hex(), client.parent_span_id), ("00f067aa0ba902b7", server.span_id))
    equal((server.name, client.name), ("POST /v1/chat/completions", "chat mock-chat"))
    equal((server.trace_state, server.flags & 0xFF), ("a=1", 1))
    assert server.start_time_unix_nano <= client.start_time_unix_nano
    assert client.end_time_unix_nano <= server.end_time_unix_nano
    told = attributes(client)
    for name, value in {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "mock-chat",
        "gen_ai.request.stream": True,
        "carnet.target.upstream": "mock",
        "http.response.status_code": 200,
        "carnet.attempt": 1,
    }.items():
        equal((name, told.get(name)), (name, value))
    assert 0 <= told["gen_ai.response.time_to_first_chunk"] < 30
    equal([value.string_value for value in attributes(server)["carnet.rule"].values] != [], True)


@case
def a_denial_is_one_span():
    record = ask("closed-observe")
    spans = until(lambda: spans_of(record))
    equal(list(spans), [Span.SPAN_KIND_SERVER])
    told = attributes(spans[Span.SPAN_KIND_SERVER])
    equal((told["carnet.decision"], told["carnet.outcome"]), ("deny", "denied"))
    equal(told["http.response.status_code"], 403)


@case
def measures_are_histograms_with_the_buckets_of_the_conventions():
    def metrics():
        last = [message for path, _, message in arrived if path == "/v1/metrics"][-1:]
        return {
            metric.name: metric
            for message in last
            for resource in message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    metric = until(lambda: metrics().get("gen_ai.client.operation.duration"))
    equal((metric.unit, metric.histogram.aggregation_temporality), ("s", AGGREGATION_TEMPORALITY_CUMULATIVE))
    [point] = metric.histogram.data_points
    equal(list(point.explicit_bounds)[:3], [0.01, 0.02, 0.04])
    equal((len(point.bucket_counts), sum(point.bucket_counts)), (len(point.explicit_bounds) + 1, point.count))
    assert point.start_time_unix_nano < point.time_unix_nano and point.sum > 0
    equal(attributes(point)["gen_ai.request.model"], "mock-chat")
    assert metrics()["gen_ai.client.operation.time_to_first_chunk"].unit == "s"


@case
def every_field_is_one_of_the_protocol_and_the_resource_names_the_service():
    assert arrived
    for path, kind, message in arrived:
        equal((kind, unknown(message)), ("application/x-protobuf", []))
        [resource] = message.resource_spans if path == "/v1/traces" else message.resource_metrics
        equal(attributes(resource.resource)["service.name"], "carnet-suite")
        [scope] = resource.scope_spans if path == "/v1/traces" else resource.scope_metrics
        equal((scope.scope.name, scope.schema_url), ("carnet", "https://opentelemetry.io/schemas/gen-ai/1.42.0"))


if __name__ == "__main__":
    host, port = ADDRESS.split(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run()
