"""Whether the Dockerfile and what it is built from fit together. Run by ./check; needs Python 3.11.

context.py          looks at the Dockerfile and the repository
context.py named    looks whether all that the manifests of what is built, below the working directory, name is there
"""

import json
import re
import shlex
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
problems = []


def problem(where, what):
    problems.append(f"{where}: {what}")


def instructions(path):
    """Line number, word and rest of each instruction."""
    found, held, start = [], "", 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not held and (not line.strip() or line.lstrip().startswith("#")):
            continue
        start = start if held else number
        held += line.rstrip().removesuffix("\\") + " "
        if not line.rstrip().endswith("\\"):
            word, _, rest = held.strip().partition(" ")
            found.append((start, word.upper(), rest.strip()))
            held = ""
    return found


def ignored(path, rules):
    """As .dockerignore has it: the last rule that matches the path, or a folder above it, decides."""
    parts, verdict = path.split("/"), False
    for rule in rules:
        keeps, pattern = rule.startswith("!"), rule.removeprefix("!").strip("/").split("/")
        if any(matches(parts[:end], pattern) for end in range(1, len(parts) + 1)):
            verdict = not keeps
    return verdict


def matches(parts, pattern):
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(matches(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and matches(parts[1:], pattern[1:])


def copied(found):
    """Sources from the context, with their lines; stages that are copied from have to be there."""
    stages, sources = set(), []
    for line, word, rest in found:
        where = f"deploy/images/Dockerfile:{line}"
        if word == "FROM":
            stages.add(shlex.split(rest)[-1])
        if word not in ("COPY", "ADD"):
            continue
        words = shlex.split(rest)
        flags = dict(w.removeprefix("--").partition("=")[::2] for w in words if w.startswith("--"))
        words = [w for w in words if not w.startswith("--")]
        if "from" in flags:
            if flags["from"] not in stages:
                problem(where, f"there is no stage {flags['from']}")
        else:
            sources += [(where, source) for source in words[:-1]]
    return sources


def check_sources(found):
    rules = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()]
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    sources = copied(found)
    for where, source in sources:
        path = ROOT / source
        if not path.exists():
            problem(where, f"{source} is not there")
        elif ignored(source, rules):
            problem(where, f"{source} is excluded by .dockerignore")
        elif path.is_file() and path.parent == HERE and not path.stat().st_mode & 0o111:
            problem(where, f"{source} is not executable")
    if not ignored("target/debug/tidegate", rules) or not ignored("dataplane/target/x", rules):
        problem(".dockerignore", "what is built would be part of the context")
    return [source for _, source in sources]


def check_cargo(found, sources):
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    manifests = {f"{member}/Cargo.toml" for member in workspace["members"]}
    for missing in sorted(manifests - set(sources)):
        problem("deploy/images/Dockerfile", f"{missing} is a member of the workspace, and not copied")
    for line, word, rest in found:
        where = f"deploy/images/Dockerfile:{line}"
        for package in re.findall(r"--package (\S+)", rest) if word == "RUN" else []:
            folders = [ROOT / member for member in workspace["members"]]
            names = {tomllib.loads((f / "Cargo.toml").read_text())["package"]["name"]: f for f in folders}
            if package not in names:
                problem(where, f"Cargo knows no package {package}")
            elif not (names[package] / "src/main.rs").exists():
                problem(where, f"{package} has no program")
        if word == "FROM" and rest.startswith("rust:"):
            has = [int(n) for n in re.match(r"rust:(\d+)\.(\d+)", rest).groups()]
            wants = [int(n) for n in workspace["package"]["rust-version"].split(".")[:2]]
            if has < wants:
                problem(where, f"Rust {has} is older than rust-version {wants}")


def check_images(found):
    uid = re.search(r"^uid=(\d+)$", (HERE / "filesystem").read_text(), re.M).group(1)
    stage, seen = None, {}
    for line, word, rest in found:
        if word == "FROM":
            stage = shlex.split(rest)[-1]
        seen.setdefault(stage, {})[word] = (f"deploy/images/Dockerfile:{line}", rest)
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    for target in ("tidegate", "tidegate-authz"):
        image = seen.get(target, {})
        for word in ("USER", "HEALTHCHECK", "ENTRYPOINT", "CMD", "LABEL", "EXPOSE"):
            if word not in image:
                problem("deploy/images/Dockerfile", f"the target {target} has no {word}")
                return
        where, user = image["USER"]
        if user != f"{uid}:{uid}":
            problem(where, f"the user is {user}, and that of the file system {uid}:{uid}")
        program = f"/usr/local/bin/{target}"
        for word in ("HEALTHCHECK", "ENTRYPOINT", "CMD"):
            where, rest = image[word]
            try:
                words = json.loads(rest[rest.index("["):])
            except ValueError:
                problem(where, f"{word} is no list of words")
                continue
            if word != "CMD" and words[0] != program:
                problem(where, f"{words[0]} is not {program}")
        if not image["COPY"][1].endswith(f"/programs/{target} {program}"):
            problem(image["COPY"][0], f"{program} is not what the build made")
    for line, word, rest in found:
        if word == "ARG" and rest.startswith("VERSION=") and rest != f"VERSION={version}":
            problem(f"deploy/images/Dockerfile:{line}", f"{rest}, and Cargo.toml has {version}")
    return uid


def check_kubernetes(uid):
    """The same user everywhere."""
    files = [*ROOT.glob("deploy/kubernetes/**/*.yaml"), *ROOT.glob("deploy/helm/**/*.yaml")]
    for path in files:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r"\s*(?:- )?runAsUser: (\d+)", line)
            # The images of others have users of their own.
            if found and 65000 < int(found.group(1)) < 65600 and found.group(1) not in (uid, "65534"):
                problem(f"{path.relative_to(ROOT)}:{number}", f"user {found.group(1)} is not the images' {uid}")


def packages(found):
    """Those that are built."""
    return {package for _, word, rest in found if word == "RUN" for package in re.findall(r"--package (\S+)", rest)}


def check_named(folder, built):
    """Cargo refuses to build a package of which one is missing."""
    places = {"bin": "src/bin", "bench": "benches", "test": "tests", "example": "examples"}
    for path in folder.glob("*/**/Cargo.toml"):
        manifest = tomllib.loads(path.read_text())
        if manifest["package"]["name"] not in built:
            continue
        for kind, place in places.items():
            for target in manifest.get(kind, []):
                if not (path.parent / target.get("path", f"{place}/{target['name']}.rs")).exists():
                    problem(path.relative_to(folder), f"there is no {kind} {target['name']}")


found = instructions(HERE / "Dockerfile")
if sys.argv[1:] == ["named"]:
    check_named(Path.cwd(), packages(found))
else:
    sources = check_sources(found)
    check_cargo(found, sources)
    check_kubernetes(check_images(found))
for line in problems:
    print(line, file=sys.stderr)
sys.exit(bool(problems))
