"""Methods of personalized federated learning, each a plugin of pflbench."""
