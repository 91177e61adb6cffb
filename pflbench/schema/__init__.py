"""What can be written down: records, hooks, registry, parameters, expressions and scenarios."""
