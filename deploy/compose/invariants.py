"""What holds between compose.yaml, compose.ha.yaml and the files that they mount. Run by ./check; needs ruamel.yaml."""

import re
import sys
import tomllib
from pathlib import Path

from ruamel.yaml import YAML

HERE = Path(__file__).resolve().parent
problems = []

# What clients can reach; and where nothing leads outside.
OPEN, INTERNAL = {"tidegate"}, {"authorization", "observability", "database"}
# A name that no registry has.
OURS = "localhost/tidegate/"
# Root, for this one power.
POWERS = {"secrets": ["CHOWN"]}


def problem(where, what):
    problems.append(f"{where}: {what}")


def load(name):
    return YAML(typ="safe").load(HERE / name)


def target(mount):
    return mount.split(":")[1] if isinstance(mount, str) else mount["target"]


def over(base, more):
    """As Compose puts one file over another, as far as these two need it."""
    merged = {name: {**base.get(name, {}), **more.get(name, {})} for name in ("networks", "volumes")}
    merged["services"] = dict(base["services"])
    for name, changes in more["services"].items():
        service = dict(merged["services"].get(name, {}))
        for key, value in changes.items():
            if key == "volumes":
                mine = {target(mount) for mount in value}
                value = [mount for mount in service.get(key, []) if target(mount) not in mine] + value
            elif key == "networks":
                value = service.get(key, []) + value
            elif isinstance(value, dict):
                value = {**service.get(key, {}), **value}
            service[key] = value
        merged["services"][name] = service
    return merged


def check_service(file, name, service, whole):
    where = f"{file}: {name}"
    services = whole["services"]
    if not re.fullmatch(r"[^:@]+:v?\d+\.\d+\S*", service.get("image", "")):
        problem(where, f"image {service.get('image')} has no version")
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add", []) != POWERS.get(name, []):
        problem(where, "keeps capabilities")
    if service.get("read_only") is not True:
        problem(where, "its file system can be written")
    if service.get("security_opt") != ["no-new-privileges:true"]:
        problem(where, "may gain privileges")
    if service.get("privileged") or service.get("pid") or service.get("ipc") or service.get("network_mode") == "host":
        problem(where, "shares something of the machine")
    if str(service.get("user", "65532")).split(":")[0] in ("0", "root") and name not in POWERS:
        problem(where, "is root")
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    if file == "compose.yaml" and not {"cpus", "memory", "pids"} <= limits.keys():
        problem(where, f"has no limits of cpus, memory and pids: {dict(limits)}")
    for mount in service.get("volumes", []):
        source, _, rest = mount.partition(":")
        if source.startswith("."):
            if not (HERE / source).exists():
                problem(where, f"{source} is not there")
            if not rest.endswith(":ro"):
                problem(where, f"{source} can be written")
        elif source not in whole["volumes"]:
            problem(where, f"there is no volume {source}")
    networks = service.get("networks", [])
    if not networks and service.get("network_mode") != "none":
        problem(where, "is in a network that nobody named")
    for network in networks:
        if network not in whole["networks"]:
            problem(where, f"there is no network {network}")
    if "clients" in networks and name not in OPEN:
        problem(where, "can be reached by clients")
    for port in service.get("ports", []):
        # Those of a service that clients can reach: see check_gate.
        if name not in OPEN and not port.startswith("127.0.0.1:"):
            problem(where, f"publishes {port} to other machines")
    for other, how in service.get("depends_on", {}).items():
        if other not in services:
            problem(where, f"there is no service {other}")
            continue
        once = services[other].get("restart") == "no"
        health = services[other].get("healthcheck", {})
        if how["condition"] != ("service_completed_successfully" if once else "service_healthy"):
            problem(where, f"waits for {other} in the wrong way")
        if not once and "test" not in health:
            problem(where, f"{other} is never healthy")
    if service.get("restart") not in ("no", "unless-stopped"):
        problem(where, "has no restart policy")


def check_images(file, services):
    """Ours are built, by one service each, and never pulled."""
    builders = {}
    for name, service in services.items():
        image, builds = service["image"], "build" in service
        if builds:
            builders.setdefault(image, []).append(name)
        ours = image.startswith(OURS)
        wanted = ("build" if builds else "never") if ours else None
        if service.get("pull_policy") != wanted:
            problem(f"{file}: {name}", f"pull_policy is {service.get('pull_policy')}, not {wanted}")
        if not ours and (builds or "tidegate" in image):
            problem(f"{file}: {name}", f"{image} is not below {OURS}")
        if builds and service["build"].get("target") != image.removeprefix(OURS).partition(":")[0]:
            problem(f"{file}: {name}", f"builds another target than {image}")
    for image in sorted({service["image"] for service in services.values() if service["image"].startswith(OURS)}):
        if len(builders.get(image, [])) != 1:
            problem(file, f"{image} is built by {builders.get(image, 'nobody')}, not by one service")


def check_one_shots(file, services):
    """`docker compose up --wait` fails when one ends that nobody waits for."""
    awaited = {
        other
        for service in services.values()
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    for name, service in services.items():
        if service.get("restart") == "no" and name not in awaited:
            problem(f"{file}: {name}", "ends, and nobody waits for it")


def check_whole(file, whole):
    for name, service in whole["services"].items():
        check_service(file, name, service, whole)
    check_images(file, whole["services"])
    check_one_shots(file, whole["services"])
    for name, network in whole["networks"].items():
        if bool((network or {}).get("internal")) != (name in INTERNAL):
            problem(file, f"the network {name} is{'' if name in INTERNAL else ' not'} to be internal")
    users = list(whole["services"].values())
    for name in whole["volumes"]:
        if not any(mount.partition(":")[0] == name for service in users for mount in service.get("volumes", [])):
            problem(file, f"nobody has the volume {name}")
    broker = whole["services"]["mosquitto"]
    if broker.get("network_mode") != "none" or broker.get("ports") or broker.get("networks"):
        problem(f"{file}: mosquitto", "can be reached by a network")


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def check_gate(file, whole):
    """Between tidegate.toml and the services."""
    services, where = whole["services"], "tidegate/tidegate.toml"
    config = tomllib.loads((HERE / where).read_text())
    gate = services["tidegate"]
    wanted = []
    for listener in config["listeners"]:
        port = listener["bind"].rsplit(":", 1)[1]
        # Without TLS it is for this machine alone.
        wanted.append(f"{'${TIDEGATE_ADDRESS:-127.0.0.1}' if 'tls' in listener else '127.0.0.1'}:{port}:{port}")
    if sorted(wanted) != sorted(gate["ports"]):
        problem(where, f"its listeners are to be {wanted}, and {file} publishes {list(gate['ports'])}")
    drain = config["drain"]
    needs = sum(seconds(drain.get(key, "0s")) for key in ("delay", "duration", "timeout"))
    if seconds(gate["stop_grace_period"]) <= needs:
        problem(f"{file}: tidegate", f"stop_grace_period is not more than the {needs} s of [drain]")
    socket = config["broker"]["url"].removeprefix("unix:")
    conf = (HERE / "mosquitto/mosquitto.conf").read_text()
    if re.findall(r"^listener .*$", conf, re.M) != [f"listener 0 {socket}"]:
        problem("mosquitto/mosquitto.conf", f"listens elsewhere than on {socket}")
    folder = str(Path(socket).parent)
    having = {
        name for name, service in services.items() for mount in service.get("volumes", []) if target(mount) == folder
    }
    if having != {"mosquitto", "tidegate"}:
        problem(file, f"{sorted(having)} have {folder}")
    host, port = re.fullmatch(r"dns:([^:]+):(\d+)\?tls", config["authz"]["endpoints"][0]).groups()
    made = services["certificates"]["command"]
    if host not in services or f"--service={host}" not in made or config["authz"]["tls"]["server_name"] != host:
        problem(where, f"the service {host} is not there, or has another name in its certificate")
    for name in ("authz.toml", "authz.ha.toml"):
        there = tomllib.loads((HERE / "authz" / name).read_text())
        if there["bind"].rsplit(":", 1)[1] != port or there["tls"].get("client_names") != ["tidegate"]:
            problem(f"authz/{name}", "does not listen where the gate asks, or for somebody else")
    return config


def check_telemetry(file, whole, config):
    services = whole["services"]
    authz = tomllib.loads((HERE / "authz/authz.toml").read_text())
    for where, part in (("tidegate/tidegate.toml", config), ("authz/authz.toml", authz)):
        host = part["telemetry"]["otlp_endpoint"].removeprefix("http://").partition(":")[0]
        if host not in services:
            problem(where, f"there is no service {host}")
    scraped = load("prometheus/prometheus.yaml")["scrape_configs"]
    found = {}
    for job in scraped:
        for targets in job.get("static_configs", []):
            found.update(entry.rsplit(":", 1) for entry in targets["targets"])
        for names in job.get("dns_sd_configs", []):
            found.update({name: str(names["port"]) for name in names["names"]})
    wanted = {
        "tidegate": config["probes"]["bind"].rsplit(":", 1)[1],
        "authz": authz["probes"]["bind"].rsplit(":", 1)[1],
    }
    if found != wanted:
        problem("prometheus/prometheus.yaml", f"scrapes {found}, and there are {wanted}")
    url = load("grafana/datasources.yaml")["datasources"][0]["url"]
    if url != "http://prometheus:9090":
        problem("grafana/datasources.yaml", f"nobody is at {url}")
    boards = load("grafana/dashboards.yaml")["providers"][0]["options"]["path"]
    if boards not in [target(mount) for mount in services["grafana"]["volumes"]]:
        problem("grafana/dashboards.yaml", f"nothing is mounted at {boards}")


base = load("compose.yaml")
both = over(base, load("compose.ha.yaml"))
for file, whole in (("compose.yaml", base), ("compose.ha.yaml", both)):
    check_whole(file, whole)
    check_telemetry(file, whole, check_gate(file, whole))
for name in sorted(set(both["services"]) - set(base["services"])):
    if not both["services"][name].get("deploy", {}).get("resources", {}).get("limits"):
        problem(f"compose.ha.yaml: {name}", "has no limits")
for line in dict.fromkeys(problems):
    print(f"deploy/compose/{line}", file=sys.stderr)
sys.exit(bool(problems))
