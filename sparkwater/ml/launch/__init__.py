"""Launch of a training in a barrier stage: preflight checks, resources, messages, progress, restarts."""
