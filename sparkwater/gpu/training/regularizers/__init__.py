"""Regularisers of a training: penalties and limits, adversarial losses, sparse activations, averaged weights."""
