"""Memory tasks: sequences that are generated, whose answer depends on early steps."""
