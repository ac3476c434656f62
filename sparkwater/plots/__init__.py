"""Plots: figures of matplotlib from plain values, and from bounded parts of DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater._lazy import lazy_exports

if TYPE_CHECKING:
    from sparkwater.plots.drawing.classes import (
        class_bars as class_bars,
        confusion_heat_map as confusion_heat_map,
    )
    from sparkwater.plots.drawing.contributions import (
        contribution_bars as contribution_bars,
        contributions_swarm as contributions_swarm,
    )
    from sparkwater.plots.drawing.curves import learning_curves as learning_curves
    from sparkwater.plots.drawing.dependence import dependence_plot as dependence_plot
    from sparkwater.plots.drawing.pictures import (
        Picture as Picture,
        gallery as gallery,
        neighbor_gallery as neighbor_gallery,
    )
    from sparkwater.plots.drawing.plot import Plot as Plot
    from sparkwater.plots.drawing.scores import (
        Bin as Bin,
        Measured as Measured,
        importance_plot as importance_plot,
        leaderboard as leaderboard,
        reliability_diagram as reliability_diagram,
        share_bars as share_bars,
    )
    from sparkwater.plots.drawing.waterfall import contribution_steps as contribution_steps
    from sparkwater.plots.frames.explained import (
        plot_contributions as plot_contributions,
        plot_dependence as plot_dependence,
        plot_first_row as plot_first_row,
        plot_importance as plot_importance,
    )
    from sparkwater.plots.frames.galleries import (
        plot_largest_losses as plot_largest_losses,
        plot_neighbors as plot_neighbors,
        plot_pictures as plot_pictures,
    )
    from sparkwater.plots.frames.scored import plot_reliability as plot_reliability
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "drawing.classes": ("class_bars", "confusion_heat_map"),
            "drawing.contributions": ("contribution_bars", "contributions_swarm"),
            "drawing.curves": ("learning_curves",),
            "drawing.dependence": ("dependence_plot",),
            "drawing.pictures": ("Picture", "gallery", "neighbor_gallery"),
            "drawing.plot": ("Plot",),
            "drawing.scores": (
                "Bin",
                "Measured",
                "importance_plot",
                "leaderboard",
                "reliability_diagram",
                "share_bars",
            ),
            "drawing.waterfall": ("contribution_steps",),
            "frames.explained": ("plot_contributions", "plot_dependence", "plot_first_row", "plot_importance"),
            "frames.galleries": ("plot_largest_losses", "plot_neighbors", "plot_pictures"),
            "frames.scored": ("plot_reliability",),
        },
    )
