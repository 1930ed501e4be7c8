"""Holds packaging/ against those who know the forms: Helm's own engine renders the chart, the schemas of Kubernetes check
what comes out, and the parser of Dockerfiles reads the container file. No cluster, no daemon, no network."""

import json
import sys
from pathlib import Path

import dockerfile
import helm_python as helm
import jsonschema
import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "packaging/helm/carnet"
KUBERNETES = ["1.29", "1.33"]

passed, failed = 0, 0


def case(name, check):
    global passed, failed
    try:
        check()
        passed += 1
    except Exception as error:
        failed += 1
        print(f"FAILED {name}\n    {type(error).__name__}: {error}")


EVERYTHING = {
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "files": [
        {"path": "overlay.toml", "text": "# mine\n[[host]]\nid = \"rack\"\n"},
        {"path": "packs/mine/pack.toml", "text": "name = \"mine\""},
    ],
    "keys": [{"env": "PROVIDER_KEY", "secret": "providers", "key": "one"}],
    "tls": {"secret": "certificate"},
    "state": {"storageClass": "fast", "size": "1Ti"},
    "service": {"annotations": {"a": "b"}},
    "metrics": {
        "podMonitor": {"enabled": True, "tokenSecret": "metrics", "labels": {"x": "y"}},
        "from": [{"podSelector": {}}],
    },
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "nodeSelector": {"k": "v"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
}
RENDERED = {
    "as it is": ({}, {"ConfigMap", "NetworkPolicy", "Service", "ServiceAccount", "StatefulSet"}),
    "with everything": (
        EVERYTHING,
        {"ConfigMap", "NetworkPolicy", "PodMonitor", "Service", "ServiceAccount", "StatefulSet"},
    ),
    "with a claim and without a policy": (
        {"state": {"existingClaim": "mine"}, "networkPolicy": {"enabled": False}},
        {"ConfigMap", "Service", "ServiceAccount", "StatefulSet"},
    ),
}
REFUSED = [
    {"replicas": 2},
    {"image": {"digest": "sha256:0"}},
    {"image": {"repository": ""}},
    {"files": [{"path": "../x", "text": ""}]},
    {"files": [{"path": "/etc/x", "text": ""}]},
    {"files": [{"path": "carnet.toml", "text": ""}]},
    {"keys": [{"env": "A-B", "secret": "s", "key": "k"}]},
    {"service": {"port": 0}},
    {"service": {"type": "ExternalName"}},
    {"state": {"size": "much"}},
    {"metrics": {"podMonitor": {"enabled": True}}},
]


def render(values):
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        texts = chart.render(values=values, name="demo", namespace="there")
    documents = {}
    for path, text in texts.items():
        if path.endswith(".yaml"):
            for document in filter(None, yaml.safe_load_all(text)):
                documents[document["kind"]] = document
    return documents


def rendered(values, kinds):
    documents = render(values)
    assert set(documents) == kinds, set(documents)
    for kind, document in documents.items():
        # The one that is not of Kubernetes itself.
        if kind != "PodMonitor":
            for version in KUBERNETES:
                kubernetes_validate.validate(document, version, strict=True)


def hardened():
    spec = render({})["StatefulSet"]["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    pod, container = spec["securityContext"], spec["containers"][0]["securityContext"]
    assert pod["runAsNonRoot"] and pod["runAsUser"] == 65532
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["readOnlyRootFilesystem"] and not container["allowPrivilegeEscalation"]
    assert container["capabilities"] == {"drop": ["ALL"]}
    for probe, path in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]:
        asked = spec["containers"][0][probe]["httpGet"]
        assert asked["path"] == path and asked["httpHeaders"] == [{"name": "Host", "value": "carnet"}]


def carried():
    """The configuration and further files come out as they were written."""
    documents = render(EVERYTHING)
    data = documents["ConfigMap"]["data"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert data["carnet.toml"] == values["config"], data["carnet.toml"]
    assert data["file-0"].strip() == EVERYTHING["files"][0]["text"].strip()
    volumes = documents["StatefulSet"]["spec"]["template"]["spec"]["volumes"]
    items = {item["key"]: item["path"] for item in volumes[0]["configMap"]["items"]}
    assert items["file-1"] == "packs/mine/pack.toml", items


def refused(values):
    try:
        with helm.Chart.load(CHART) as chart:
            chart.validate_schema(values)
    except helm.HelmError:
        return
    raise AssertionError("taken")


def linted():
    found = helm.lint(CHART)
    assert not found["errors"], found
    # 1 is a hint: a chart of ours needs no icon.
    assert all(message["severity"] <= 1 for message in found["messages"]), found


def schema():
    described = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(described)
    jsonschema.validate(yaml.safe_load((CHART / "values.yaml").read_text()), described)


def container():
    commands = dockerfile.parse_file(str(ROOT / "packaging/container/Containerfile"))
    stages = [list(c.value) for c in commands if c.cmd.lower() == "from"]
    assert len(stages) == 2 and stages[0][1:] == ["AS", "build"], stages
    last = [c for c in commands if c.start_line > [c for c in commands if c.cmd.lower() == "from"][1].start_line]
    words = {c.cmd.lower() for c in last}
    assert {"user", "volume", "expose", "healthcheck", "entrypoint", "cmd"} <= words, words
    assert "run" not in words, "there is no shell"
    for command in last:
        if command.cmd.lower() in ("cmd", "entrypoint"):
            assert command.json, command


case("the chart is linted", linted)
case("the schema is one, and fits to the values", schema)
for name, (values, kinds) in RENDERED.items():
    case(f"the chart {name}", lambda: rendered(values, kinds))
case("the pod is locked down", hardened)
case("configuration and files are carried", carried)
for values in REFUSED:
    case(f"refused: {values}", lambda: refused(values))
case("the container file", container)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
