"""The training loop: steps, optimizers, schedules, validation, checkpoints."""
