"""What the checks have in common: rendered objects, and the pods in them."""

import re
import sys

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path):
    with open(path, encoding="utf-8") as file:
        return [each for each in yaml.load_all(file, LOADER) if each]


def name(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


def of_kind(things, *kinds):
    return [each for each in things if each["kind"] in kinds]


def find(things, kind, wanted):
    return next((each for each in of_kind(things, kind) if each["metadata"]["name"] == wanted), None)


class Pod:
    """The pods of a workload."""

    def __init__(self, workload):
        self.workload = workload
        self.name = name(workload)
        template = workload["spec"]["template"]
        self.labels = template["metadata"].get("labels", {})
        self.spec = template["spec"]
        # Native sidecars before the others, as they start.
        self.containers = self.spec.get("initContainers", []) + self.spec["containers"]
        claims = workload["spec"].get("volumeClaimTemplates", [])
        self.volumes = {each["name"]: each for each in self.spec.get("volumes", [])}
        self.volumes |= {each["metadata"]["name"]: {"persistentVolumeClaim": {}} for each in claims}

    def container(self, image):
        """The container of that image, whatever registry and tag."""
        return next((each for each in self.containers if repository(each["image"]).endswith(image)), None)

    def ports(self):
        """(container, name, number)"""
        for container in self.containers:
            for port in container.get("ports", []):
                yield container, port.get("name"), port["containerPort"]


def pods(things):
    return [Pod(each) for each in of_kind(things, "StatefulSet", "Deployment", "DaemonSet", "Job")]


def repository(image):
    return image.split("@")[0].rsplit(":", 1)[0]


def matches(selector, labels):
    """A LabelSelector with matchLabels alone, which is all that is used here."""
    if set(selector) - {"matchLabels"}:
        raise ValueError(f"a selector that the checks don't know: {selector}")
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def mounted(pod, container, things):
    """Files of ConfigMaps and Secrets by their path in the container; of Secrets that are not there None."""
    for mount in container.get("volumeMounts", []):
        volume = pod.volumes[mount["name"]]
        if "configMap" in volume:
            source = find(things, "ConfigMap", volume["configMap"]["name"])
            if source is None:
                raise LookupError(f"{pod.name}: no ConfigMap {volume['configMap']['name']}")
            for file, text in source["data"].items():
                yield f"{mount['mountPath']}/{file}", text, source
        elif "secret" in volume:
            yield mount["mountPath"], None, volume["secret"]["secretName"]


SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds(text):
    return sum(float(number) * SECONDS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def fail(where, problems):
    for problem in problems:
        print(f"{where}: {problem}", file=sys.stderr)
    return bool(problems)
