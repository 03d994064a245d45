"""The demo: the true daemon, a true broker and simulated devices on one machine, without a network or hardware."""
