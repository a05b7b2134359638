"""Other toolkits that are measured beside rnnexp, each in a process with a Python interpreter of its own."""
