"""Compute instances: single machines that are started and stopped; created and deleted as computes.

https://learn.microsoft.com/rest/api/azureml/compute
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace

from airflow_azml.client.api_versions import INSTANCES
from airflow_azml.client.lifecycle import Goal, Observation, Phase
from airflow_azml.client.names import check_compute_name
from airflow_azml.client.resources.compute import Computes
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.transport.longrunning import Operation

if TYPE_CHECKING:
    from airflow_azml.client.lifecycle import Statuses, Target


class ComputeInstances(Computes):
    """Start and stop compute instances. The state is the machine's, whatever the provisioning of its resource says."""

    kind = "compute_instances"
    state = "state"
    facts = ("provisioning_state", "vm_size", "current_nodes", "scale_settings")
    statuses: ClassVar[Statuses] = {
        "creating": Phase.PENDING,
        "settingup": Phase.PENDING,
        "usersettingup": Phase.PENDING,
        "starting": Phase.PENDING,
        "restarting": Phase.ACTIVE,
        "resizing": Phase.ACTIVE,
        "running": Phase.SUCCEEDED,
        "jobrunning": Phase.SUCCEEDED,
        "stopping": Phase.ACTIVE,
        "stopped": Phase.STOPPED,
        "deleting": Phase.ACTIVE,
        "createfailed": Phase.FAILED,
        "setupfailed": Phase.FAILED,
        "usersetupfailed": Phase.FAILED,
        "unusable": Phase.FAILED,
        "unknown": Phase.ACTIVE,
    }

    def start(self, name: str) -> Target:
        """Start an instance, unless it runs or is starting."""
        return self._bring(name, "start", self.target(name), ("running", "jobrunning", "starting"))

    def stop(self, name: str) -> Target:
        """Stop an instance, unless it is stopped or stopping: its disk stays, its machine costs nothing any more."""
        return self._bring(name, "stop", self.target(name, goal=Goal.STOPPED), ("stopped", "stopping"))

    def restart(self, name: str) -> Target:
        """Restart an instance."""
        return self._act("restart", self.target(name))

    def observe(self, target: Target) -> Observation:
        """Return the state of the machine."""
        return Observation.of(self.statuses, self.get(target.name).state or "Unknown")

    def _bring(self, name: str, verb: str, target: Target, settled: tuple[str, ...]) -> Target:
        compute = self.get(name)
        if compute.compute_type.casefold() != "computeinstance":
            rule = f"is a {compute.compute_type}; only a ComputeInstance starts and stops"
            raise InputError("compute_name", name, rule)
        return target if compute.state.casefold() in settled else self._act(verb, target)

    def _act(self, verb: str, target: Target) -> Target:
        url = self.arm("computes", check_compute_name(target.name), verb)
        response = self.http.request("POST", url, operation=f"{verb} compute", params=INSTANCES, retry="always")
        return replace(target, operation=Operation.started_by(response))
