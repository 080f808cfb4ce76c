"""The regions of Azure in which Azure Machine Learning is offered."""

from __future__ import annotations

from typing import Any

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.http.wire import pick_text

REGIONS = (
    "australiaeast", "australiasoutheast", "brazilsouth", "canadacentral", "canadaeast", "centralindia", "centralus",
    "centraluseuap", "eastasia", "eastus", "eastus2", "eastus2euap", "francecentral", "germanywestcentral",
    "israelcentral", "italynorth", "japaneast", "japanwest", "jioindiawest", "koreacentral", "northcentralus",
    "northeurope", "norwayeast", "polandcentral", "qatarcentral", "southafricanorth", "southcentralus",
    "southeastasia", "southindia", "spaincentral", "swedencentral", "switzerlandnorth", "switzerlandwest", "uaenorth",
    "uksouth", "ukwest", "westcentralus", "westeurope", "westus", "westus2", "westus3",
)  # fmt: skip


def read_location(body: dict[str, Any], collection: str, default: str | None = None) -> str:
    """Return a resource's region in its short form (`East US` is `eastus`); refuse one that is unknown.

    :param collection: `computes`, for example, for the message.
    """
    given = pick_text(body, "location", default=default)
    region = given.replace(" ", "").casefold()
    if region in REGIONS:
        return region
    message = (
        f"The provided location '{given}' is not available for resource type "
        f"'Microsoft.MachineLearningServices/workspaces/{collection}'. "
        f"List of available regions for the resource type is '{','.join(REGIONS)}'."
    )
    raise Fault(400, "LocationNotAvailableForResourceType", message, target="location")
