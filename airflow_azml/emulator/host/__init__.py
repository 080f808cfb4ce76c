"""The emulator as a process: its sockets, its certificates, the hosts that it answers for."""
