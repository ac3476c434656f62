"""The barrier stage: resources, preflight checks, the driver's channel, progress, restarts."""
