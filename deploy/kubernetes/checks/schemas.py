"""Objects against the schemas of Kubernetes and of custom resources; whatever no schema knows is refused.

schemas.py CRD-FILE[,FILE…] TAIL-SAMPLING-SCHEMA FILE…
The rules of custom resources that are written in CEL are not looked at: only an API server does that.
"""

import json
import sys

import jsonschema
import kubernetes_validate
import yaml

import objects

# Native sidecars are on by default from the first; the second is the newest that the tool knows.
VERSIONS = ["1.29", "1.37"]


def main(definitions, tail_sampling, *files):
    custom = dict(custom_schemas(definitions.split(",")))
    sampling = collector_schema(tail_sampling)
    failed, seen = False, set()
    for file in files:
        for thing in objects.read(file):
            # Most objects are the same in many renderings.
            text = json.dumps(thing, sort_keys=True)
            if text not in seen:
                seen.add(text)
                failed |= objects.fail(f"{file}: {objects.name(thing)}", problems(thing, custom, sampling))
    sys.exit(failed)


def problems(thing, custom, sampling):
    schema = custom.get((thing["apiVersion"], thing["kind"]))
    if schema:
        return [text(each) for each in jsonschema.Draft202012Validator(schema).iter_errors(thing)]
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(thing, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            found.append(f"{thing['apiVersion']} is unknown to Kubernetes {version}, and no custom resource")
        except kubernetes_validate.ValidationError as error:
            found.append(f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}")
    for data in thing.get("data", {}).values() if thing["kind"] == "ConfigMap" else []:
        if "tail_sampling" in data:
            found += collector_problems(yaml.safe_load(data), sampling)
    return found


def custom_schemas(files):
    for crd in (crd for file in files for crd in objects.read(file)):
        for version in crd["spec"]["versions"]:
            if version["served"]:
                kind = f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]
                schema = version["schema"]["openAPIV3Schema"]
                schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
                yield kind, strict(schema)


def strict(schema):
    """As an API server with strict validation: no unknown fields, but where the schema permits any."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: each if key in ("enum", "default", "pattern") else strict(each) for key, each in schema.items()}
    result.pop("format", None)
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
        result["type"] = ["integer", "string"]
        result.pop("anyOf", None)
    if schema.get("nullable") and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]
    return result


def collector_schema(file):
    """The schema of the processor, in which `$ref: name` means a definition in the same file."""

    def local(schema):
        if isinstance(schema, list):
            return [local(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        result = {key: local(each) for key, each in schema.items() if key != "$ref"}
        if isinstance(schema.get("$ref"), str) and "/" not in schema["$ref"] and "." not in schema["$ref"]:
            result["$ref"] = f"#/$defs/{schema['$ref']}"
        if isinstance(schema.get("properties"), dict):
            # A definition that takes over another's properties is not closed: they would be unknown to it.
            result["unevaluatedProperties"] = False
        return result

    def opened(schema):
        """Parts of `allOf` leave it to the whole to close."""
        for each in schema.get("$defs", {}).values():
            for part in each.get("allOf", []):
                target = part.get("$ref", "").rpartition("/")[2]
                schema["$defs"].get(target, {}).pop("unevaluatedProperties", None)
        return schema

    with open(file, encoding="utf-8") as text_:
        return opened(local(yaml.safe_load(text_)))


def collector_problems(collector, sampling):
    """Every component that a pipeline names is there, every one that is there is named; policies make sense."""
    found = []
    service = collector["service"]
    used = {"extensions": set(service.get("extensions", []))}
    for pipeline in service["pipelines"].values():
        for kind, names in pipeline.items():
            used.setdefault(kind, set()).update(names)
    for kind in {"receivers", "processors", "exporters", "extensions", *used}:
        there = set(collector.get(kind, {}))
        if there != used.get(kind, set()):
            found.append(f"collector: {kind}: {sorted(there ^ used.get(kind, set()))} is not both there and used")
    validator = jsonschema.Draft202012Validator(sampling)
    processor = collector["processors"]["tail_sampling"]
    found += [f"collector: tail_sampling: {text(each)}" for each in validator.iter_errors(processor)]
    for policy in processor["policies"]:
        # always_sample has no section; every other type has one by its name.
        if set(policy) != {"name", "type", policy.get("type")}:
            found.append(f"collector: tail_sampling: a policy of the type {policy.get('type')}: {sorted(policy)}")
    return found


def text(error):
    return f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


if __name__ == "__main__":
    main(*sys.argv[1:])
