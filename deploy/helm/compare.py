"""Object by object: what the chart renders, and what Kustomize does.

compare.py DIFFERENCES KUSTOMIZE-FILE HELM-FILE
"""

import difflib
import pathlib
import re
import sys

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "kubernetes" / "checks"))
import objects  # noqa: E402

HASH = re.compile(r"-[0-9a-z]{10}$")


def main(differences, kustomize, helm):
    with open(differences, encoding="utf-8") as file:
        expected = yaml.safe_load(file)
    one, other = normal(objects.read(kustomize), expected), normal(objects.read(helm), expected)
    found = []
    for key in sorted(set(one) | set(other)):
        if key not in other:
            if key not in expected["only-kustomize"]:
                found.append(f"{key} is in {kustomize} only")
        elif key not in one:
            if key not in expected["only-helm"]:
                found.append(f"{key} is in {helm} only")
        elif one[key] != other[key]:
            lines = [yaml.safe_dump(each, width=160).splitlines() for each in (one[key], other[key])]
            diff = difflib.unified_diff(*lines, kustomize, helm, lineterm="", n=2)
            found.append(f"{key}:\n" + "\n".join(diff))
    for key in expected["only-kustomize"]:
        if key not in one or key in other:
            found.append(f"{key} is listed in {differences}, and no difference")
    sys.exit(objects.fail("chart", found))


def normal(things, expected):
    hashed = {
        each["metadata"]["name"] for each in things
        if each["kind"] in expected["hashed"] and HASH.search(each["metadata"]["name"])
    }

    def clean(value):
        if isinstance(value, dict):
            return {key: clean(each) for key, each in value.items()}
        if isinstance(value, list):
            return sorted((clean(each) for each in value), key=order) if keyed(value) else [clean(each) for each in value]
        return HASH.sub("", value) if isinstance(value, str) and value in hashed else value

    result = {}
    for thing in things:
        thing["metadata"].pop("namespace", None)
        labels = thing["metadata"].get("labels", {})
        for label in expected["labels"]:
            labels.pop(label, None)
        if not labels:
            thing["metadata"].pop("labels", None)
        if thing["kind"] == "Secret":
            # The same bytes may be written in lines.
            thing["data"] = {key: "".join(each.split()) for key, each in thing["data"].items()}
        thing = clean(thing)
        key = objects.name(thing)
        if key in result:
            raise ValueError(f"{key} is there twice")
        result[key] = thing
    return result


def keyed(value):
    """Lists in which each has a name of its own, so that their order means nothing. Containers are none."""
    return all(isinstance(each, dict) and "name" in each and "image" not in each for each in value)


def order(each):
    return each["name"], each.get("mountPath", "")


if __name__ == "__main__":
    main(*sys.argv[1:])
