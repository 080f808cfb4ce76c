"""The crash campaign: an emulator under load is killed again and again, and started again on what is left.

It is killed at random commits of its store, before or after them, and at random moments, also while it starts. At the
end everything that it has acknowledged is compared with what is there. The last line is one JSON object; the exit code
is 0 when nothing is wrong.

    python campaign.py [--kills N] [--seed SEED] [--deployments] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aftermath
from clients import CLUSTER, Clients, Owner, Runner, compare_all
from ledger import Ledger
from resources import Blobs, Computes, Deployments, Endpoints, Kind, Models
from victim import Victim

SORTS = ("before", "after", "starting", "serving")  # a commit, or while it does this
COMMITS = 120  # the last commit at which a kill may strike
LIFE = 2.0  # seconds that it starts or serves, at most
LONG, RARELY = 10.0, 0.2  # seconds, and how often: time for what does not come to its end in a short life
LONGEST = 30.0  # seconds until an emulator that has not come to its commit is killed all the same
NODES = "4"


class Campaign:
    """An emulator, its clients, and what was acknowledged.

    :param folder: for everything that is written.
    :param seed: of all dice.
    :param deployments: also deploy: the environment of a deployment takes a while to build.
    """

    def __init__(self, folder: Path, seed: int, *, deployments: bool) -> None:
        self.kills: Counter[str] = Counter()
        self.ledger = Ledger()
        self._seed, self._dice = seed, random.Random(seed)  # noqa: S311 - dice
        self.victim = Victim(folder / "data")
        self.victim.data.mkdir(parents=True)
        self._counted = folder / "counted"
        self._counted.mkdir()
        self._clients = Clients(self.victim, self.ledger)
        models, computes, blobs = Models(self.victim), Computes(self.victim), Blobs(self.victim)
        self._deployments = Deployments(self.victim) if deployments else None
        self._kinds: dict[str, Kind] = {"compute": computes, "endpoint": Endpoints(self.victim), "blob": blobs}
        self._kinds |= {"model": models} | ({"deployment": self._deployments} if self._deployments else {})

    def prepare(self) -> None:
        """Start the emulator and make what the clients need."""
        self.victim.launch()
        assert self.victim.serves(), self.victim.log.read_text()
        Computes(self.victim).put(CLUSTER, NODES).raise_for_status()
        for kind in self._kinds.values():
            if isinstance(kind, Models | Deployments):
                kind.prepare()
        if self._deployments:  # its environment takes longer to build than an emulator lives
            self._clients.insist(lambda: Deployments(self.victim).put("first", "0")).raise_for_status()
            self._deployments.wait("first")
            self.ledger.marks["deployment/first"] = "0"
        for number, (prefix, kind) in enumerate([*self._kinds.items()] * 2):
            sets = {"model": ["m{}.1", "m{}.2", "m{}.x"], "deployment": ["blue{}"]}
            names = [name.format(number) for name in sets.get(prefix, ["first-{}", "second-{}", "third-{}"])]
            self._clients.start(Owner(self._clients, kind, prefix, names), self._seed)
        for prefix in ("a", "b"):
            self._clients.start(Runner(self._clients, prefix, self._counted), self._seed)

    def kill(self, number: int) -> None:
        """Kill the emulator so many times, and start it again each time."""
        told = 0
        self.victim.end()
        for _ in range(number):
            sort = self._dice.choice(SORTS)
            code = self._live_and_die(sort)
            if code != -signal.SIGKILL:
                self.ledger.report("failures", f"life {len(self.victim.lives)}", f"it ended with {code}")
            self.kills[sort] += 1
            say(f"kill {self.kills.total()}: {sort}; acknowledged {dict(self.ledger.acknowledged)}")
            say(*self.ledger.lines()[told:])
            told = len(self.ledger.lines())

    def _live_and_die(self, sort: str) -> int | None:
        """Start the emulator and let it die; return its exit code."""
        commit = f"{sort}:{self._dice.randint(1, COMMITS)}" if sort in {"before", "after"} else ""
        life = self.victim.launch(commit)
        if sort == "serving":
            self.victim.serves()
        long = sort == "serving" and self._dice.random() < RARELY
        life.join(LONGEST if commit else self._dice.uniform(0, LONG if long else LIFE))
        return self.victim.end()

    def judge(self) -> None:
        """Start the emulator for the last time, let all come to rest, and compare."""
        victim, ledger = self.victim, self.ledger
        victim.launch()
        assert victim.serves(), victim.log.read_text()
        self._clients.stop()
        aftermath.settle(victim, ledger)
        compare_all(ledger, self._kinds)
        aftermath.judge_runs(victim, ledger, self._counted)
        present = self._serving()
        aftermath.judge_processes(victim, ledger, {f"{victim.data / 'deployments' / key}/" for key in present})
        aftermath.judge_files(victim, ledger, present)
        victim.stop()
        aftermath.judge_processes(victim, ledger, set())
        aftermath.judge_log(victim, ledger)

    def _serving(self) -> set[str]:
        """Return the deployments that should serve; report those that do not, or not what they should."""
        if self._deployments is None:
            return set()
        marks = {what.partition("/")[2]: mark for what, mark in self.ledger.marks.items() if what.startswith("depl")}
        present = {name: mark for name, mark in marks.items() if mark is not None}
        for name, mark in present.items():
            deadline = time.monotonic() + 60  # it is brought up again
            while (served := self._deployments.score(name)) != mark and time.monotonic() < deadline:
                time.sleep(0.5)
            if served != mark:
                self.ledger.report("lost", f"process of deployment {name}", f"it serves {served!r}, not {mark}")
        return {f"{self._deployments.endpoint}/{name}" for name in present}


def say(*lines: str) -> None:
    """Print lines of progress."""
    for line in lines:
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main() -> int:
    """Run a campaign; return 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--deployments", action="store_true", help="also deploy, which needs packages")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    say(f"seed {options.seed}: give it with --seed to throw the same dice again")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="crash-campaign-"))
    say(f"everything is in {folder} until all has gone well")
    campaign = Campaign(folder, options.seed, deployments=options.deployments)
    try:
        campaign.prepare()
        campaign.kill(options.kills)
        campaign.judge()
    finally:
        campaign.victim.end()
        aftermath.end_processes(campaign.victim)
    say(f"killed {dict(campaign.kills)}", *campaign.ledger.lines())
    wrong = campaign.ledger.counts()
    if not any(wrong.values()):
        shutil.rmtree(folder)
    acknowledged = campaign.ledger.acknowledged.total()
    print(json.dumps({"kills": campaign.kills.total(), "acknowledged": acknowledged, **wrong}), flush=True)
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
