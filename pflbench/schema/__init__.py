"""Everything that can be written down: records, hooks, registry, parameters, scenarios."""
