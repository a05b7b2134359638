"""What happens beside training: each behaviour is one callback, switched off by one override."""
