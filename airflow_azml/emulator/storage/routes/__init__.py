"""The blob, artifact and content services, and datastores on Resource Manager."""
