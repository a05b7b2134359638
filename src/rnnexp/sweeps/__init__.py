"""Many runs: the jobs of a sweep and the backends that run them."""
