"""Lets names below `localhost` lead to this machine, as RFC 6761 wants it, in every Python process of a run.

azureml-core takes the address of a blob apart and calls `https://{account}.blob.{suffix}`: an IP address has no such
names, and few machines resolve them below `localhost`. A `sitecustomize` that this one hides is loaded after it.
"""

from __future__ import annotations

import socket
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_resolve = socket.getaddrinfo


def _getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    local = isinstance(host, str) and host.lower().endswith(".localhost")
    return _resolve("localhost" if local else host, *arguments, **options)


socket.getaddrinfo = _getaddrinfo
hidden = PathFinder.find_spec("sitecustomize", [folder for folder in sys.path if Path(folder or ".").resolve() != HERE])
if hidden and hidden.loader:
    hidden.loader.exec_module(module_from_spec(hidden))
