"""What has to hold in every rendering, whatever components it is made of.

invariants.py README FILE…
"""

import re
import sys
import tomllib

import network
import objects
from objects import find, matches, name, of_kind, pods, seconds

VOLUMES = {"configMap", "emptyDir", "secret", "persistentVolumeClaim", "projected", "downwardAPI", "csi", "ephemeral"}
PINNED = re.compile(r"(?!.*:latest)[\w.-]+(:\d+)?(/[\w.-]+)*(:\w[\w.-]*|(:\w[\w.-]*)?@sha256:[0-9a-f]{64})$")


def main(readme, *files):
    with open(readme, encoding="utf-8") as file:
        documentation = file.read()
    failed = False
    for file in files:
        things = objects.read(file)
        found = list(problems(things, documentation))
        failed |= objects.fail(file, found)
    sys.exit(failed)


def problems(things, documentation):
    everything = pods(things)
    for pod in everything:
        yield from prefixed(pod.name, [*restricted(pod), *sound(pod), *references(pod, things, documentation)])
        yield from prefixed(pod.name, [*ends_in_time(pod, things), *broker_is_alone(pod, things)])
    yield from services(things, everything)
    yield from targets(things, everything)
    yield from routes(things)
    yield from network.problems(things, everything)
    for namespace in of_kind(things, "Namespace"):
        if namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{name(namespace)} does not enforce the Pod Security Standard `restricted`"


def prefixed(where, found):
    return [f"{where}: {each}" for each in found]


def restricted(pod):
    """Pod Security Standard `restricted`."""
    spec, security = pod.spec, pod.spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    if security.get("sysctls"):
        yield "sysctls"
    for volume, value in pod.volumes.items():
        if set(value) - {"name"} - VOLUMES:
            yield f"volume {volume} is of a kind that is not permitted"
    for container in pod.containers:
        own = container.get("securityContext", {})
        found = {
            "privileged": own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
            "capabilities": own.get("capabilities", {}).get("drop") != ["ALL"]
            or set(own["capabilities"].get("add", [])) - {"NET_BIND_SERVICE"},
            "runAsNonRoot": (security | own).get("runAsNonRoot") is not True,
            # Numbers, so that the kubelet need not look into the image.
            "runAsUser": not (security | own).get("runAsUser"),
            "seccompProfile": (security | own).get("seccompProfile", {}).get("type")
            not in ("RuntimeDefault", "Localhost"),
            "procMount": own.get("procMount", "Default") != "Default",
            "hostPort": any(port.get("hostPort") for port in container.get("ports", [])),
            # Not of the standard, but ours.
            "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is not True,
        }
        yield from (f"{container['name']}: securityContext: {key}" for key, wrong in found.items() if wrong)


def sound(pod):
    """What has nothing to do with other objects."""
    spec = pod.spec
    if spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks is not false"
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken is not false"
    if not matches(pod.workload["spec"]["selector"], pod.labels):
        yield "the selector does not match the pod's labels"
    used = set()
    for container in pod.containers:
        where = container["name"]
        if not PINNED.match(container["image"]):
            yield f"{where}: image {container['image']} is not pinned"
        own = {port.get("name") for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if port is not None and port not in own:
                yield f"{where}: {probe} asks the port {port}, which is not there"
        for mount in container.get("volumeMounts", []):
            used.add(mount["name"])
            if mount["name"] not in pod.volumes:
                yield f"{where}: no volume {mount['name']}"
        names = [each["name"] for each in container.get("env", [])]
        if len(names) != len(set(names)):
            yield f"{where}: a variable is there twice"
    yield from (f"nobody uses the volume {each}" for each in set(pod.volumes) - used)


def references(pod, things, documentation):
    """ConfigMaps are there; Secrets too, or the README tells what has to be in them; and what else is named."""
    account = pod.spec.get("serviceAccountName")
    if account:
        there = find(things, "ServiceAccount", account)
        if not there:
            yield f"no ServiceAccount {account}"
        elif there.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount {account} mounts its token"
    issued = {each["spec"]["secretName"] for each in of_kind(things, "Certificate")}
    for volume in pod.volumes.values():
        if "configMap" in volume and not find(things, "ConfigMap", volume["configMap"]["name"]):
            yield f"no ConfigMap {volume['configMap']['name']}"
        secret = volume.get("secret", {}).get("secretName")
        if secret and secret not in issued and not find(things, "Secret", secret) and f"`{secret}`" not in documentation:
            yield f"no Secret {secret}, and README.md does not tell of it"
    if pod.workload["kind"] == "StatefulSet":
        headless = find(things, "Service", pod.workload["spec"]["serviceName"])
        if headless and headless["spec"].get("clusterIP") != "None":
            yield f"{name(headless)} is not headless"


def ends_in_time(pod, things):
    """Whoever is to go slowly is given the time."""
    grace = pod.spec.get("terminationGracePeriodSeconds", 30)
    for image, keys in (
        ("tidegate/tidegate", ("drain", "delay", "duration", "timeout")),
        ("tidegate/tidegate-authz", ("shutdown", "delay", "grace")),
    ):
        container = pod.container(image)
        if not container:
            continue
        section = configuration(pod, container, things).get(keys[0], {})
        needed = sum(seconds(section.get(key, "0s")) for key in keys[1:])
        if needed <= 0:
            yield f"{keys[0]} is not configured"
        # Five more for those that end after it.
        if needed + 5 > grace:
            yield f"{keys[0]} takes {needed:g} s, and terminationGracePeriodSeconds is {grace}"
        for other in pod.spec["containers"]:
            if image != "tidegate/tidegate" or other is container:
                continue
            sleep = other.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if not needed <= sleep < grace:
                yield f"{other['name']} sleeps {sleep} s before it ends, and the gate's drain takes {needed:g} s"


def broker_is_alone(pod, things):
    """Nothing but the gate reaches the broker: a socket that only the two have, or loopback; and no ports."""
    gate, broker = pod.container("tidegate/tidegate"), pod.container("mosquitto")
    if not broker:
        return
    if not gate:
        yield "a broker without a gate"
        return
    if broker.get("ports"):
        yield "the broker has ports"
    url = configuration(pod, gate, things)["broker"]["url"]
    files = [text for path, text, _ in objects.mounted(pod, broker, things) if path.endswith("/mosquitto.conf")]
    if len(files) != 1:
        yield "the broker has no mosquitto.conf"
        return
    listeners = re.findall(r"^(?:listener|port)\s+(.*)$", files[0], re.M)
    if len(listeners) != 1:
        yield f"the broker has {len(listeners)} listeners"
        return
    port, _, place = listeners[0].partition(" ")
    if place == "127.0.0.1":
        if url != f"mqtt://127.0.0.1:{port}":
            yield f"broker.url is {url}, the broker listens on 127.0.0.1:{port}"
    elif port == "0" and place.startswith("/"):
        if url != f"unix:{place}":
            yield f"broker.url is {url}, the broker listens on {place}"
        yield from socket_is_shared(pod, gate, broker, place)
    else:
        yield f"the broker listens on {listeners[0]}"


def socket_is_shared(pod, gate, broker, place):
    folder = place.rpartition("/")[0]
    volumes = {
        mount["name"] for each in (gate, broker) for mount in each["volumeMounts"] if mount["mountPath"] == folder
    }
    if len(volumes) != 1 or "emptyDir" not in pod.volumes[next(iter(volumes))]:
        yield f"{folder} is not one emptyDir of gate and broker"
    for container in pod.containers:
        if container not in (gate, broker) and volumes & {each["name"] for each in container.get("volumeMounts", [])}:
            yield f"{container['name']} has the broker's socket, too"
    security = pod.spec["securityContext"]
    if not security.get("fsGroup") or (security | gate["securityContext"]).get("runAsGroup") != security["fsGroup"]:
        yield "the gate is not in the group of the socket's folder (fsGroup)"
    if broker not in pod.spec.get("initContainers", []) or broker.get("restartPolicy") != "Always":
        yield "the broker is no native sidecar"


def configuration(pod, container, things):
    for path, text, _ in objects.mounted(pod, container, things):
        if path in container.get("args", []):
            return tomllib.loads(text)
    raise LookupError(f"{pod.name}: {container['name']} has no configuration file")


def services(things, everything):
    for service in of_kind(things, "Service"):
        spec = service["spec"]
        selected = [pod for pod in everything if matches({"matchLabels": spec["selector"]}, pod.labels)]
        if not selected:
            yield f"{name(service)} selects no pod"
        for pod in selected:
            ports = {port: container for container, port, _ in pod.ports()}
            for port in spec["ports"]:
                if port["targetPort"] not in ports:
                    yield f"{name(service)}: {pod.name} has no port {port['targetPort']}"
                elif "mosquitto" in ports[port["targetPort"]]["image"]:
                    yield f"{name(service)} leads to the broker"
    if any("nodePort" in port for each in of_kind(things, "Service") for port in each["spec"]["ports"]):
        for service in of_kind(things, "Service"):
            ports = service["spec"]["ports"]
            if service["spec"].get("type") == "NodePort" and any("nodePort" not in port for port in ports):
                yield f"{name(service)} opens a port of the nodes that nobody chose"


def targets(things, everything):
    for budget in of_kind(things, "PodDisruptionBudget"):
        if not any(matches(budget["spec"]["selector"], pod.labels) for pod in everything):
            yield f"{name(budget)} selects no pod"
    for scaler in of_kind(things, "HorizontalPodAutoscaler"):
        wanted = scaler["spec"]["scaleTargetRef"]
        target = find(things, wanted["kind"], wanted["name"])
        if not target:
            yield f"{name(scaler)}: no {wanted['kind']} {wanted['name']}"
            continue
        if "replicas" in target["spec"]:
            yield f"{name(scaler)}: {name(target)} says how many, too"
        for container in target["spec"]["template"]["spec"]["containers"]:
            if "cpu" not in container.get("resources", {}).get("requests", {}):
                yield f"{name(scaler)}: {container['name']} requests no CPU"
    for monitor in of_kind(things, "PodMonitor"):
        selected = [pod for pod in everything if matches(monitor["spec"]["selector"], pod.labels)]
        wanted = {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]}
        if not selected or any(wanted - {port for _, port, _ in pod.ports()} for pod in selected):
            yield f"{name(monitor)} finds no metrics"


def routes(things):
    for ingress in of_kind(things, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                wanted = path["backend"]["service"]
                yield from backend(things, ingress, wanted["name"], "name", wanted["port"]["name"])
        if ingress["metadata"].get("annotations"):
            yield f"{name(ingress)} has annotations, which some controllers know and others do not"
    for route in of_kind(things, "TLSRoute", "TCPRoute", "HTTPRoute"):
        for parent in route["spec"]["parentRefs"]:
            if "namespace" in parent:
                # The platform's.
                continue
            gateway = find(things, "Gateway", parent["name"])
            protocols = {"TLSRoute": "TLS", "TCPRoute": "TCP", "HTTPRoute": "HTTPS"}
            listeners = gateway["spec"]["listeners"] if gateway else []
            if (parent["sectionName"], protocols[route["kind"]]) not in [
                (each["name"], each["protocol"]) for each in listeners
            ]:
                yield f"{name(route)}: no such listener: {parent}"
        for rule in route["spec"]["rules"]:
            for wanted in rule["backendRefs"]:
                yield from backend(things, route, wanted["name"], "port", wanted["port"])


def backend(things, thing, service, key, port):
    there = find(things, "Service", service)
    if not there or port not in [each[key] for each in there["spec"]["ports"]]:
        yield f"{name(thing)}: no Service {service} with the port {port}"


if __name__ == "__main__":
    main(*sys.argv[1:])
