#!/usr/bin/env python3
"""Looks at dashboards for what Grafana does not say: panels without words or units, ids that come twice, panels that
lie on each other, data sources of one machine, variables that are not there. Each argument is a file; says what is wrong.
With --rules first, prints their expressions as rules, for promtool to read."""

import json
import re
import sys

# Grafana's own variables.
BUILT_IN = {"__rate_interval", "__interval", "__range", "__all", "__from", "__to"}


def complaints(dashboard):
    for key in ("uid", "title", "description"):
        if not dashboard.get(key):
            yield f"no {key}"
    variables = {it["name"] for it in dashboard.get("templating", {}).get("list", [])}
    yield from data_sources(dashboard)
    for name in sorted(set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) - variables - BUILT_IN):
        yield f"there is no variable ${name}"
    taken, ids = {}, set()
    for panel in dashboard.get("panels", []):
        title = panel.get("title")
        name = f"panel {title or panel.get('id')!r}"
        if not title:
            yield f"{name}: no title"
        if not isinstance(panel.get("id"), int) or panel["id"] in ids:
            yield f"{name}: its id is missing or comes twice"
        ids.add(panel.get("id"))
        yield from overlaps(panel, name, taken)
        if panel.get("type") == "row":
            continue
        if not panel.get("description"):
            yield f"{name}: no description"
        if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
            yield f"{name}: no unit"
        targets = panel.get("targets", [])
        if not targets or not all(it.get("expr") and it.get("legendFormat") for it in targets):
            yield f"{name}: no query, or one without expression or legend"
        references = [it.get("refId") for it in targets]
        if len(set(references)) != len(references):
            yield f"{name}: two queries have one refId"


def data_sources(node):
    """Everything goes to the data source that is chosen above the dashboard."""
    if isinstance(node, dict):
        source = node.get("datasource")
        if source is not None and source != {"type": "prometheus", "uid": "${datasource}"}:
            yield f"a data source that is not ${{datasource}}: {source}"
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from data_sources(child)


def overlaps(panel, name, taken):
    try:
        grid = panel["gridPos"]
        x, y, width, height = (int(grid[key]) for key in "xywh")
    except (KeyError, TypeError, ValueError):
        yield f"{name}: no place"
        return
    if not (width > 0 and height > 0 and x >= 0 and y >= 0 and x + width <= 24):
        yield f"{name}: not on the grid of 24 columns"
    others = {taken.setdefault((column, line), name) for column in range(x, x + width) for line in range(y, y + height)}
    for other in sorted(others - {name}):
        yield f"{name} lies on {other}"


def rules(paths):
    """Each expression as a recording rule that is named after its file and panel."""
    found = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            dashboard = json.load(file)
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                expr = target["expr"].replace("$__rate_interval", "5m")
                found.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": expr})
    return {"groups": [{"name": "dashboards", "rules": found}]}


def main(paths):
    if paths[:1] == ["--rules"]:
        print(json.dumps(rules(paths[1:])))
        return 0
    panels, uids, is_good = 0, {}, True
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                dashboard = json.load(file)
            found = list(complaints(dashboard))
            other = uids.setdefault(dashboard.get("uid"), path)
        except (OSError, ValueError, AttributeError) as error:
            found, other, dashboard = [str(error)], path, {}
        if other != path:
            found.append(f"the same uid as {other}")
        panels += len(dashboard.get("panels", []))
        for text in found:
            print(f"{path}: {text}", file=sys.stderr)
            is_good = False
    print(f"{panels} panels")
    return 0 if is_good and paths else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
