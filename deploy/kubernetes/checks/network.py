"""NetworkPolicies: they select what is there, and let in whom they should and nobody else."""

from objects import matches, name, of_kind

# Doors that components open or shut; the rules name them all.
DOORS = {1883, 8883, 9001, 9464}

# Pods that others put into the namespace, and their ports.
STRANGERS = [
    # cert-manager's, for HTTP-01.
    ({"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}}, {8089}),
]


def problems(things, everything):
    policies = of_kind(things, "NetworkPolicy")
    for policy in policies:
        selected = select(policy["spec"]["podSelector"], everything)
        strangers = {port for selector, ports in STRANGERS if selector == policy["spec"]["podSelector"] for port in ports}
        if not selected and not strangers:
            yield f"{name(policy)} selects no pod"
        for rule in policy["spec"].get("ingress", []):
            yield from peers(policy, rule.get("from", []), everything)
            open_ = {port for pod in selected for _, _, port in pod.ports()} | (DOORS if is_gate(selected) else set())
            yield from (f"{name(policy)}: nobody has the port {port}" for port in numbers(rule) - open_ - strangers)
        for rule in policy["spec"].get("egress", []):
            yield from peers(policy, rule.get("to", []), everything)
            for peer in rule.get("to", []):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    open_ = {port for pod in select(peer["podSelector"], everything) for _, _, port in pod.ports()}
                    yield from (f"{name(policy)}: nobody there has the port {port}" for port in numbers(rule) - open_)
    if any(policy["spec"]["podSelector"] == {} and not policy["spec"].get("ingress") for policy in policies):
        yield from only_the_gate_asks(policies, everything)
        yield from nothing_is_left_open(policies, everything)


def only_the_gate_asks(policies, everything):
    """The authorization service is asked by gates, and by nobody else; and they may."""
    service = next((pod for pod in everything if pod.container("tidegate/tidegate-authz")), None)
    if not service:
        return
    gates = {pod.name for pod in everything if pod.container("tidegate/tidegate")}
    callers = set()
    for policy in policies:
        if "Ingress" not in policy["spec"]["policyTypes"] or not matches(policy["spec"]["podSelector"], service.labels):
            continue
        for rule in policy["spec"].get("ingress", []):
            if 50051 not in numbers(rule) and numbers(rule):
                continue
            for peer in rule.get("from", [{}]):
                if set(peer) != {"podSelector"}:
                    yield f"{name(policy)}: others than gates may ask the service"
                else:
                    callers |= {pod.name for pod in select(peer["podSelector"], everything)}
    if callers != gates:
        yield f"the authorization service may be asked by {sorted(callers)}; the gates are {sorted(gates)}"
    for gate in everything:
        if gate.name in gates and not may_reach(policies, gate, service, 50051):
            yield f"{gate.name} may not ask the authorization service"


def may_reach(policies, source, target, port):
    return any(
        port in numbers(rule) and any(matches(peer.get("podSelector", {"matchLabels": {"": ""}}), target.labels)
                                      for peer in rule.get("to", []))
        for policy in policies
        if matches(policy["spec"]["podSelector"], source.labels)
        for rule in policy["spec"].get("egress", [])
    )


def nothing_is_left_open(policies, everything):
    """A rule without ports opens all of them; a rule for everybody is for the TLS door alone."""
    for policy in policies:
        for direction in ("ingress", "egress"):
            for rule in policy["spec"].get(direction, []):
                if not numbers(rule):
                    yield f"{name(policy)}: a rule without ports"
        for rule in policy["spec"].get("ingress", []):
            if "from" not in rule and numbers(rule) != {8883}:
                yield f"{name(policy)}: everybody may reach {sorted(numbers(rule))}"


def peers(policy, listed, everything):
    for peer in listed:
        if "podSelector" in peer and "namespaceSelector" not in peer and not select(peer["podSelector"], everything):
            yield f"{name(policy)}: nobody is {peer['podSelector']}"


def select(selector, everything):
    return [pod for pod in everything if matches(selector, pod.labels)]


def is_gate(selected):
    return any(pod.container("tidegate/tidegate") for pod in selected)


def numbers(rule):
    return {port["port"] for port in rule.get("ports", [])}
