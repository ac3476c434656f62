"""Tests of other folders that run over Spark Connect as well: a few of each capability, of public names alone."""

from __future__ import annotations

#: Names of tests, by their file.
SUITES = {
    "conversions/test_frames.py": (
        "test_every_kind_of_column_becomes_tensors_by_one_call",
        "test_pictures_are_decoded_where_a_shape_is_given",
        "test_rows_that_cannot_be_used_are_errors_or_skipped",
        "test_torch_tensors_become_columns_and_come_back",
    ),
    "conversions/test_columns.py": (
        "test_wrong_lengths_and_nulls_are_dropped_by_skip",
        "test_names_with_dots_and_spaces_are_names",
    ),
    "conversions/test_image_to_tensor.py": ("test_keep_leaves_the_bad_rows_without_a_tensor",),
    "conversions/test_table_to_tensor.py": ("test_each_kind_of_column_has_its_entries",),
    "ml/test_image_classifier.py": ("test_string_labels_come_back_as_strings",),
    "ml/test_explanations.py": ("test_partial_dependence_of_a_line_is_the_line",),
    "ml/test_exact_shapley.py": ("test_the_base_of_a_tree_is_the_mean_over_its_training_rows",),
    "ml/test_similarity.py": ("test_ids_are_strings_and_the_smaller_wins_a_tie",),
    "stacking/test_search.py": (
        "test_trials_have_the_errors_of_a_plain_loop_on_the_same_folds",
        "test_the_model_is_the_best_trial_fitted_on_all_rows",
    ),
    "stacking/test_automl.py": ("test_time_for_one_learner_only_gives_that_learner_and_says_so",),
    "bundle/test_exported_networks.py": ("test_a_classifier_of_pictures",),
    "plots/test_frames.py": ("test_importance_reads_forty_rows",),
}
