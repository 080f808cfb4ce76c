"""docker-compose.yaml without Docker: the same commands, environments and health checks as processes of this machine.

A container's network becomes ports of the loopback interface, its file system a folder, a volume a folder that several
of them know. Nothing else changes. The one service that has no command in the file is PostgreSQL: what its image does
at the first start, the server programs of this machine do.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Self

import yaml
from postgres_server import LOOPBACK, new_cluster

from airflow_azml.demo.airflow_settings import base_environment
from airflow_azml.demo.processes import Service, free_port, stop

HOME = "/opt/airflow"  # AIRFLOW_HOME of the image
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what a container may listen on becomes the loopback interface
START = 240  # seconds that a service may take on a busy machine
STORES = ("postgres", "redis")  # what the others need until they have ended


class NativeCompose:
    """The services of a compose file, from `with` to the end of it.

    :param file: the compose file.
    :param variables: what stands in .env.
    :param state: folder for everything that is written, where PostgreSQL's user may go.
    """

    def __init__(self, file: Path, variables: Mapping[str, str], state: Path) -> None:
        self.services: dict[str, Any] = interpolated(yaml.safe_load(file.read_text())["services"], variables)
        self.running: dict[str, Service] = {}
        self._folder, self._state = file.parent, state
        said = str([[spec.get(key) for key in ("command", "environment", "healthcheck")] for spec in self._specs()])
        names = "|".join(map(re.escape, self.services))
        self._ports = {address: free_port() for address in re.findall(rf"\b({names}):(\d+)\b", said)}

    def __enter__(self) -> Self:
        order = TopologicalSorter({name: spec.get("depends_on", {}) for name, spec in self.services.items()})
        order.prepare()
        try:
            while ready := order.get_ready():
                self._start_together(ready)
                order.done(*ready)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop everything, the stores last."""
        stop([service for name, service in self.running.items() if name not in STORES])
        stop([service for name, service in self.running.items() if name in STORES])
        self.running.clear()

    def url(self, service: str, port: int) -> str:
        """Return where a service answers."""
        return f"http://{LOOPBACK}:{self._ports[service, str(port)]}"

    def home(self, service: str) -> Path:
        """Return the folder that plays the home of a container."""
        return self._state / service

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment of a service's processes."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        said = self.services[service].get("environment", {})
        native = {name: self._native(service, str(value)) for name, value in said.items()}
        return {**base_environment(), "PATH": path, "AIRFLOW_HOME": str(self.home(service)), **native}

    def log(self, service: str) -> Path:
        """Return the file that takes a service's output."""
        return self._state / f"{service}.log"

    def _specs(self) -> list[dict[str, Any]]:
        return list(self.services.values())

    def _start_together(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._mount(name)
            if self._ends(name):
                self._once(self._command(name), environment=self.environment(name))
            else:
                self.running[name] = Service(name, self._command(name), self.environment(name), self.log(name))
        for name in set(names) & set(self.running):
            self.running[name].wait_until(lambda name=name: self._is_healthy(name), START)

    def _mount(self, name: str) -> None:
        """Make the folder that plays the home of a container, with the volumes that it finds there."""
        self.home(name).mkdir()
        for inside, outside in self._volumes(name).items():
            if inside.startswith(f"{HOME}/"):
                (self.home(name) / inside.removeprefix(f"{HOME}/")).symlink_to(outside)

    def _ends(self, name: str) -> bool:
        conditions = [spec.get("depends_on", {}).get(name, {}).get("condition") for spec in self._specs()]
        return "service_completed_successfully" in conditions

    @staticmethod
    def _once(command: list[str], stdin: str = "", environment: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(
            command, input=stdin, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=START
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _is_healthy(self, name: str) -> bool:
        kind, *test = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        command = self._words(name, test)
        return not subprocess.run(command, env=self.environment(name), capture_output=True, check=False).returncode

    def _command(self, name: str) -> list[str]:
        said = self.services[name].get("command")
        return self._words(name, shlex.split(said)) if said else self._postgres()

    def _words(self, service: str, words: list[str]) -> list[str]:
        """Translate a command: the value of an option may be a host, or a port of the service itself."""
        hosts = {EVERYWHERE, *(host for host, _ in self._ports)}
        native = []
        for before, word in zip(["", *words], words, strict=False):
            if before.startswith("-") and word in hosts:
                native.append(LOOPBACK)
            elif before.startswith("-") and (service, word) in self._ports:
                native.append(str(self._ports[service, word]))
            else:
                native.append(self._native(service, word))
        return native

    def _native(self, service: str, text: str) -> str:
        """Translate the addresses and paths in a text."""
        for (name, port), native in self._ports.items():
            text = re.sub(rf"\b({re.escape(name)}|{re.escape(LOOPBACK)}):{port}\b", f"{LOOPBACK}:{native}", text)
        for inside, outside in self._volumes(service).items():
            text = text.replace(inside, str(outside))
        return text.replace(HOME, str(self.home(service)))

    def _volumes(self, service: str) -> dict[str, Path]:
        """Return the folders that play the volumes of a service, by their paths inside."""
        volumes = {}
        for volume in self.services[service].get("volumes", []):
            source, inside = volume.split(":")[:2]
            outside = self._folder / source if source.startswith(".") else self._state / "volumes" / source
            outside.mkdir(parents=True, exist_ok=True)
            volumes[inside] = outside
        return volumes

    def _postgres(self) -> list[str]:
        said, [data] = self.services["postgres"]["environment"], self._volumes("postgres").values()
        login = {"user": said["POSTGRES_USER"], "password": said["POSTGRES_PASSWORD"]}
        return new_cluster(data, self._ports["postgres", "5432"], **login, database=said["POSTGRES_DB"])


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """Put the values of variables into the texts of a compose file: `${NAME:?what to do when it is missing}`."""
    if isinstance(value, dict):
        return {key: interpolated(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, variables) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: variables[found[1]], value)
    return value
