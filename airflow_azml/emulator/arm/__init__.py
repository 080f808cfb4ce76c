"""Resource Manager around the workspace: subscriptions, groups, the workspace itself, operations; and discovery."""
