"""One verb per file: a frozen config and `run(config)`; a stage wires, it does not compute."""
