"""Tests of other folders that run over Spark Connect as well, where ``lane.py`` doesn't show the same."""

from __future__ import annotations

#: Names of tests, by their file.
SUITES = {
    "conversions/test_frames.py": (
        "test_every_kind_of_column_becomes_tensors_by_one_call",
        "test_pictures_are_decoded_where_a_shape_is_given",
        "test_torch_tensors_become_columns_and_come_back",
    ),
    "test_saved_stages.py": ("test_a_save_that_fails_leaves_the_old_stage",),
    "conversions/test_columns.py": ("test_names_with_dots_and_spaces_are_names",),
    "ml/test_explanations.py": ("test_partial_dependence_of_a_line_is_the_line",),
    "stacking/test_search.py": ("test_the_model_is_the_best_trial_fitted_on_all_rows",),
    "stacking/test_automl.py": ("test_time_for_one_learner_only_gives_that_learner_and_says_so",),
    "plots/test_frames.py": ("test_importance_reads_forty_rows",),
}
