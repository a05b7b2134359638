"""Files and directories: written atomically, read within bounds, locked."""
