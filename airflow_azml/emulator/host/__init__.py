"""The process and its sockets: the emulator as one object, its web application, its servers."""
