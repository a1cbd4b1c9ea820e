"""The configurations in ConfigMaps and environments, read by the programs themselves.

configurations.py BIN-FOLDER FILE…
Each container of ours gets a root of its own in a temporary folder: its ConfigMaps and Secrets as files, Secrets
that are not part of the rendering with content made up here (a certificate, a key, a database's URL). Absolute
paths below /etc and /run in file and environment are moved there; nothing else is changed.
"""

import base64
import pathlib
import re
import subprocess
import sys
import tempfile

import objects

PROGRAMS = {"localhost/tidegate/tidegate": "tidegate", "localhost/tidegate/tidegate-authz": "tidegate-authz"}
PATH = re.compile(r"(?<![\w/])/(etc|run)/")


def main(binaries, *files):
    failed, seen = False, set()
    with tempfile.TemporaryDirectory() as place:
        made_up = secrets(pathlib.Path(place))
        for file in files:
            for pod in objects.pods(things := objects.read(file)):
                for container in pod.containers:
                    program = PROGRAMS.get(objects.repository(container["image"]))
                    if not program:
                        continue
                    root = pathlib.Path(place, str(len(seen)))
                    arguments, environment, files_ = lay_out(pod, container, things, made_up, root)
                    # The same configuration comes in many renderings.
                    key = str((program, environment, files_)).replace(str(root), "")
                    if key not in seen:
                        seen.add(key)
                        failed |= check(f"{file}: {pod.name}", pathlib.Path(binaries, program), arguments, environment)
    if not seen:
        failed |= objects.fail("configurations", ["none were found"])
    sys.exit(failed)


def lay_out(pod, container, things, made_up, root):
    files = {}
    for path, text, source in objects.mounted(pod, container, things):
        if text is not None:
            files[path] = text.encode()
            continue
        secret = objects.find(things, "Secret", source)
        content = {key: base64.b64decode(value) for key, value in secret["data"].items()} if secret else made_up
        files |= {f"{path}/{key}": value for key, value in content.items()}

    def move(text):
        return PATH.sub(rf"{root}/\1/", text)

    for path, content in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(move(content.decode()).encode() if path.endswith(".toml") else content)
        file.chmod(0o600)
    # What the downward API will say.
    environment = {each["name"]: move(each.get("value", "from-the-pod")) for each in container.get("env", [])}
    arguments = container["args"]
    if arguments[:2] != ["run", "--config"] or len(arguments) != 3:
        raise ValueError(f"{pod.name}: arguments that the check does not know: {arguments}")
    return ["--config", move(arguments[2])], environment, sorted(files.items())


def check(where, program, arguments, environment):
    # `check` of the service asks its database, which is not here: what is in force is all that can be looked at.
    asks_database = "postgres" in environment.get("TIDEGATE_AUTHZ__USERS__SOURCES__0", "")
    verb = ["config", "show"] if asks_database else ["check"]
    done = subprocess.run(
        [program, *verb, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    # A warning is for people who fill in a users file; here it would hide one that is meant.
    problems = [] if done.returncode == 0 and not done.stderr else [f"{done.stderr.strip()} (exit code {done.returncode})"]
    return objects.fail(f"{where}: {program.name} {' '.join(verb)}", problems)


def secrets(place):
    """What the Secrets have that others make."""
    run = lambda *command: subprocess.run(command, cwd=place, check=True, capture_output=True)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365",
        "-subj", "/CN=check", "-addext", "subjectAltName=DNS:mqtt.example.org", "-keyout", "tls.key", "-out", "tls.crt")
    certificate = (place / "tls.crt").read_bytes()
    return {
        "tls.crt": certificate,
        "tls.key": (place / "tls.key").read_bytes(),
        "ca.crt": certificate,
        "session.key": b"0123456789abcdef0123456789abcdef",
        "users.passwd": b"somebody:$6$AAAAAAAAAAAAAAAA$" + base64.b64encode(bytes(64)) + b"\n",
        "url": b"postgres://authz:check@database.example.org/authz?sslmode=verify-full\n",
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
