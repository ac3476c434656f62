"""Fits of a few seconds, in whose midst something happens to a host."""

from __future__ import annotations

import logging

from digits import tensor_frame
from processes import await_during, begun

from sparkwater.ml import ImageClassifier

STALL = 8


def learner(**params):
    """Return a learner that trains for some seconds."""
    settings = {"numWorkers": 2, "epochs": 40, "batchSize": 8, "stallTimeout": STALL}
    return ImageClassifier(**{**settings, **params})


def begun_fit(hosts, caplog, estimator, **settings):
    """Begin a fit in a session with further settings; return once two epochs are done."""
    frame = tensor_frame(hosts.session(**settings), 100)
    caplog.set_level(logging.INFO, logger="sparkwater")
    fit = begun(lambda: estimator.fit(frame))
    # The first fit of a session waits for executors, whose Python imports torch.
    await_during(fit, lambda: "epoch 2/" in caplog.text, 150)
    return fit
