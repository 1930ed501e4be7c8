"""The product's bills of materials, judged by what the formats' own makers publish: CycloneDX's schema as
its library ships it, and SPDX's model as its bindings enforce it."""

import copy
import io
import json
import os
import pathlib
from importlib.resources import files

from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7
from spdx_python_model.bindings import v3_0_1 as spdx

from cases import case, report, run

FOLDER = pathlib.Path(os.environ["CARNET_FILE"])
NO_ASSERTION = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense"


def schema(name):
    return json.loads((files("cyclonedx.schema._res") / name).read_text("utf-8"))


def validator():
    # The schema names its parts by these names beside its own.
    parts = [f"{name}.SNAPSHOT.schema.json" for name in ["spdx", "jsf-0.82", "cryptography-defs"]]
    beside = "http://cyclonedx.org/schema/"
    resources = [(beside + name, Resource.from_contents(schema(name), DRAFT7)) for name in parts]
    return Draft7Validator(
        schema("bom-1.6.SNAPSHOT.schema.json"),
        registry=Registry().with_resources(resources),
        format_checker=FormatChecker(),
    )


CYCLONEDX = validator()


def wrong_cyclonedx(document):
    """The first thing that the schema finds, or that it cannot find."""
    for error in CYCLONEDX.iter_errors(document):
        return f"{error.json_path}: {error.message[:300]}"
    references = [component["bom-ref"] for component in document["components"]]
    references += [part["bom-ref"] for one in document["components"] for part in one.get("components", [])]
    if len(references) != len(set(references)):
        return "two components have one bom-ref"
    listed = [name for part in document["compositions"] for name in part["assemblies"]]
    if sorted(listed) != sorted(component["bom-ref"] for component in document["components"]):
        return "the compositions do not name each model once"
    return None


def wrong_spdx(document):
    """The first thing that the bindings refuse, or that they do not look at."""
    objects = spdx.SHACLObjectSet()
    try:
        spdx.JSONLDDeserializer().read(io.BytesIO(json.dumps(document).encode()), objects)
        # Writing asks for every field that must be there.
        spdx.JSONLDSerializer().write(objects, io.BytesIO())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    missing = objects.link() - {NO_ASSERTION}
    if missing:
        return f"nothing has the ids {sorted(missing)[:3]}"
    documents = [one for one in objects.foreach_type(spdx.SpdxDocument)]
    if len(documents) != 1:
        return f"{len(documents)} documents"
    elements = {one["spdxId"] for one in document["@graph"] if "spdxId" in one}
    roots = {documents[0]._id} | {part._id for part in documents[0].rootElement}
    held = {part._id for part in documents[0].element} | roots
    if elements != held:
        return f"the document does not hold {sorted(elements - held)[:3]}"
    for package in objects.foreach_type(spdx.ai_AIPackage):
        relations = [one for one in objects.foreach_type(spdx.Relationship) if one.from_ is package]
        kinds = [str(one.relationshipType).rsplit("/", 1)[-1] for one in relations]
        is_model = "#model-" in package._id
        if is_model and (kinds.count("hasDeclaredLicense"), kinds.count("hasConcludedLicense")) != (1, 1):
            return f"{package._id} has the relations {kinds}"
    return None


JUDGES = {"cyclonedx": wrong_cyclonedx, "spdx": wrong_spdx}


def read(path):
    return json.loads(path.read_text("utf-8"))


@case
def the_judges_find_mistakes():
    """a document with a mistake is found out"""
    document = read(FOLDER / "demo.cyclonedx.json")
    for spoil in [
        lambda d: d["components"][0].update(type="model"),
        lambda d: d["components"][0].update(colour="red"),
        lambda d: d.update(serialNumber="1"),
        lambda d: d["components"].append(d["components"][0]),
    ]:
        spoiled = copy.deepcopy(document)
        spoil(spoiled)
        assert wrong_cyclonedx(spoiled), spoiled
    document = read(FOLDER / "demo.spdx.json")
    package = next(i for i, one in enumerate(document["@graph"]) if one["type"] == "ai_AIPackage")
    relation = next(i for i, one in enumerate(document["@graph"]) if one["type"] == "Relationship")
    for spoil in [
        lambda g: g[package].update(software_primaryPurpose="colour"),
        lambda g: g[package].update(colour="red"),
        lambda g: g[package].pop("creationInfo"),
        lambda g: g[relation].update(to=[]),
        lambda g: g[relation].update(to=["urn:nobody"]),
        lambda g: g[relation].update({"from": "urn:nobody"}),
        lambda g: g.pop(relation),
    ]:
        spoiled = copy.deepcopy(document)
        spoil(spoiled["@graph"])
        assert wrong_spdx(spoiled), spoiled


run()
found = sorted(FOLDER.glob("*.json"))
for path in found:
    kind = path.name.split(".")[-2]
    report(f"{path.name} is valid", JUDGES[kind](read(path)))
report("there are documents", None if len(found) >= 2 * len(JUDGES) else f"only {len(found)}")
