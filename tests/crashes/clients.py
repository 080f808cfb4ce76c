"""The load of a crash campaign: clients that insist, as real ones do, until each request of theirs is answered."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import requests
from ledger import Ledger
from resources import GONE, Kind, marked
from runs_support import EXECUTION, HISTORY, zipped
from victim import Victim

ENDED = {"Succeeded", "Failed", "Canceled"}
BUSY = 409  # the resource is on its way to something else: asked again
FAULTY = 500
PAUSE = 0.1  # seconds between two requests for the same thing
SETTLING = 180.0  # seconds that an operation may take when nothing is killed any more
PLAIN = {"python": {"userManagedDependencies": True}}
CLUSTER = "shared"


class Clients:
    """Threads of clients, until they are stopped.

    :param victim: the emulator that they talk to.
    :param ledger: where they note what it acknowledged.
    """

    def __init__(self, victim: Victim, ledger: Ledger) -> None:
        self.victim, self.ledger = victim, ledger
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, client: Callable[[random.Random], None], seed: int) -> None:
        """Let a client do one thing after the other."""

        def work() -> None:
            dice = random.Random(f"{seed} {len(self._threads)} {client}")  # noqa: S311 - dice
            try:
                while not self._stopping.is_set():
                    client(dice)
            except Exception as error:  # noqa: BLE001 - a client that has failed fails the campaign
                self.ledger.report("failures", f"client {threading.current_thread().name}", repr(error))

        self._threads.append(threading.Thread(target=work, name=str(len(self._threads)), daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        """Let every client end what it is about."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * SETTLING)
            if thread.is_alive():
                self.ledger.report("stuck", f"client {thread.name}", "it waits for ever")

    def insist(self, request: Callable[[], requests.Response]) -> requests.Response:
        """Send a request until it is answered, and not with a 409."""
        while (answer := self.once(request)) is None:
            time.sleep(PAUSE)
        return answer

    def once(self, request: Callable[[], requests.Response]) -> requests.Response | None:
        """Send a request; None when it was not answered, or with a 409."""
        try:
            answer = request()
        except requests.RequestException:  # it is dead, or not yet born again
            return None
        if answer.status_code >= FAULTY:
            self.ledger.report("failures", f"{answer.request.method} {answer.request.path_url}", answer.text)
        return None if answer.status_code == BUSY else answer

    def follow(self, url: str) -> str:
        """Return how an operation ended."""
        deadline, status = None, ""
        while deadline is None or time.monotonic() < deadline:
            answer = self.insist(lambda: self.victim.call("GET", url))
            if answer.status_code == GONE:
                return "gone"
            if (status := str(answer.json()["status"])) in ENDED:
                return status
            if self._stopping.is_set() and deadline is None:
                deadline = time.monotonic() + SETTLING
            time.sleep(PAUSE)
        return status


class Owner:
    """A client that owns a few names of a kind: it creates, changes and deletes resources, and looks at them.

    :param clients: whose thread it lives in.
    :param kind: of its resources.
    :param prefix: of the kind in the ledger.
    :param names: of its resources.
    """

    def __init__(self, clients: Clients, kind: Kind, prefix: str, names: list[str]) -> None:
        self._clients, self._ledger, self._kind = clients, clients.ledger, kind
        self._prefix, self._names, self._marks = prefix, names, count(1)

    def __call__(self, dice: random.Random) -> None:
        """Do one thing to one of the resources."""
        name = dice.choice(self._names)
        what = f"{self._prefix}/{name}"
        present = self._ledger.marks.get(what) is not None
        mark = None if present and dice.random() < 0.5 else str(next(self._marks))
        if mark and dice.random() < 0.3:
            self._give_up(what, name, mark)
            return
        kind = self._kind
        answer = self._clients.insist(lambda: kind.put(name, mark) if mark else kind.delete(name))
        if not answer.ok and not (mark is None and answer.status_code == GONE):
            self._ledger.report("failures", f"{what} {answer.status_code}", answer.text)
            return
        self._ledger.marks[what] = mark
        self._ledger.acknowledge(self._prefix)
        operation = answer.headers.get("Azure-AsyncOperation")
        if dice.random() < 0.7:  # the others are overtaken
            self._check(what, name, operation)

    def _check(self, what: str, name: str, operation: str | None) -> None:
        ended = self._clients.follow(operation) if operation else "Succeeded"
        if ended != "Succeeded":
            sort = "lost" if ended in {*ENDED, "gone"} else "stuck"
            self._ledger.report(sort, f"{what} {operation}", f"its operation is {ended}")
        self._ledger.compare(what, self._seen(name))

    def _give_up(self, what: str, name: str, mark: str) -> None:
        """Send a change only once: without an answer, all of it is there or nothing."""
        answer = self._clients.once(lambda: self._kind.put(name, mark))
        seen = self._seen(name)
        if (answer is not None and answer.ok) or seen == mark:
            self._ledger.marks[what] = mark
            self._ledger.acknowledge(self._prefix)
        if self._ledger.marks.get(what) is not None or "|" in (seen or ""):  # what is deleted may not be gone yet
            self._ledger.compare(what, seen)

    def _seen(self, name: str) -> str | None:
        """Return the resource's mark as soon as the emulator is there to tell."""
        found = self._clients.insist(lambda: self._kind.get(name))
        return marked(self._kind, found)


class Runner:
    """A client that starts runs, marks them, and cancels some.

    :param clients: whose thread it lives in.
    :param prefix: of its runs' ids.
    :param counted: folder in which each start of a run's command leaves a line.
    """

    def __init__(self, clients: Clients, prefix: str, counted: Path) -> None:
        self._clients, self._ledger, self._victim = clients, clients.ledger, clients.victim
        self._ids, self._counted = (f"{prefix}{number}" for number in count(1)), counted

    def __call__(self, dice: random.Random) -> None:
        """Start a run, and go on with the next or wait for its end."""
        run_id = next(self._ids)
        pause = dice.choice(["0", "0.3", "1"])
        command = f"echo ran >> {self._counted}/{run_id}; sleep {pause}; echo {run_id} > outputs/mark"
        self._start(run_id, command)
        self._mark(run_id, run_id)
        if dice.random() < 0.2:
            path = f"{EXECUTION}/experiments/crashes/runId/{run_id}/cancel"
            if self._clients.insist(lambda: self._victim.call("POST", path)).ok:
                self._ledger.canceled.add(run_id)
                self._ledger.acknowledge("cancellations")
        if dice.random() < 0.8:
            self._wait(run_id)

    def _start(self, run_id: str, command: str) -> None:
        configuration = {"command": command, "target": CLUSTER, "environment": PLAIN}
        files = {
            "runDefinitionFile": ("definition.json", json.dumps({"configuration": configuration})),
            "projectZipFile": ("project.zip", zipped({"main.py": ""})),
        }
        path = f"{EXECUTION}/experiments/crashes/startrun"

        def start() -> requests.Response:
            answer = self._victim.call("POST", path, params={"runId": run_id}, files=files)
            if answer.status_code == BUSY:  # an earlier call has arrived
                answer.status_code = 200
            return answer

        self._clients.insist(start).raise_for_status()
        self._ledger.runs[run_id] = ""
        self._ledger.acknowledge("runs")

    def _mark(self, run_id: str, mark: str) -> None:
        path = f"{HISTORY}/experiments/crashes/runs/{run_id}"
        body = {"runId": run_id, "tags": {"mark": mark}}
        self._clients.insist(lambda: self._victim.call("PATCH", path, json=body)).raise_for_status()
        self._ledger.runs[run_id] = mark
        self._ledger.acknowledge("tags")

    def _wait(self, run_id: str) -> None:
        """Wait for its end; whether it has come at all is judged later."""
        deadline = time.monotonic() + SETTLING
        path = f"{HISTORY}/runs/{run_id}"
        while time.monotonic() < deadline:
            status = self._clients.insist(lambda: self._victim.call("GET", path)).json().get("status")
            if status in {"Completed", "Failed", "Canceled", None}:
                return
            time.sleep(PAUSE)


def compare_all(ledger: Ledger, kinds: dict[str, Kind]) -> None:
    """Compare every resource with what was last acknowledged of it."""
    for what in ledger.marks:
        prefix, _, name = what.partition("/")
        ledger.compare(what, marked(kinds[prefix], kinds[prefix].get(name)))
