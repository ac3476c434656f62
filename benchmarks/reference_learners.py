"""Learners that others made, for the benchmark of tables: those that are installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from reference_tables import QUANTILES, Floats, ReferenceTable

#: Rows that validate stop a boosting after so many rounds without a better one.
PATIENCE, RATE, MOST_TREES = 50, 0.05, 5000


def peers(kind: str) -> dict[str, Callable[[ReferenceTable], Floats]]:
    """Return functions from a table of a kind to predictions of its test rows, by the learners' names."""
    found = {
        **({"RealMLP-TD of pytabkit": ("pytabkit", realmlp)} if kind in ("classes", "numbers") else {}),
        "HistGradientBoosting": ("sklearn", gradient_boosting),
        "XGBoost": ("xgboost", xgboost_trees),
        "H2O, its defaults": ("h2o", h2o_defaults),
        "H2O, 3 x 256, 50 epochs": ("h2o", h2o_wide),
    }
    return {name: learner for name, (package, learner) in found.items() if find_spec(package) is not None}


def gradient_boosting(table: ReferenceTable) -> Floats:
    """Return what scikit-learn's boosted trees predict, stopped by the validation rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    rows, settings = _with_codes(table.columns), {"learning_rate": RATE, "max_iter": MOST_TREES}
    settings.update(early_stopping=True, n_iter_no_change=PATIENCE, random_state=0)
    settings["categorical_features"] = [kind == "category" for kind in rows.dtypes]
    fitted_on = (rows.iloc[table.training], table.labels[table.training])
    judged_by = {"X_val": rows.iloc[table.validation], "y_val": table.labels[table.validation]}
    tested = rows.iloc[table.test]
    if table.kind == "classes":
        model = HistGradientBoostingClassifier(**settings).fit(*fitted_on, **judged_by)
        return np.asarray(model.predict_proba(tested))
    losses = {"numbers": ["squared_error"], "counts": ["poisson"], "quantiles": ["quantile"] * len(QUANTILES)}
    predicted = []
    for loss, level in zip(losses[table.kind], QUANTILES, strict=False):
        one = {"quantile": level} if loss == "quantile" else {}
        model = HistGradientBoostingRegressor(loss=loss, **one, **settings)
        predicted.append(model.fit(*fitted_on, **judged_by).predict(tested))
    return np.stack(predicted, axis=1)


def xgboost_trees(table: ReferenceTable) -> Floats:
    """Return what XGBoost's trees of depth 6 predict, stopped by the validation rows."""
    import xgboost

    rows, classes = _with_codes(table.columns), table.classes
    labels = np.searchsorted(classes, table.labels) if table.kind == "classes" else table.labels
    objective = {"numbers": "reg:squarederror", "counts": "count:poisson", "quantiles": "reg:quantileerror"}
    settings = {"learning_rate": RATE, "max_depth": 6, "n_estimators": MOST_TREES, "early_stopping_rounds": PATIENCE}
    settings.update(enable_categorical=True, n_jobs=2, tree_method="hist")
    if table.kind == "quantiles":
        settings["quantile_alpha"] = np.array(QUANTILES)
    if table.kind == "classes":
        model = xgboost.XGBClassifier(**settings)
    else:
        model = xgboost.XGBRegressor(objective=objective[table.kind], **settings)
    judged_by = [(rows.iloc[table.validation], labels[table.validation])]
    model.fit(rows.iloc[table.training], labels[table.training], eval_set=judged_by, verbose=False)
    tested = rows.iloc[table.test]
    predicted = np.asarray(model.predict_proba(tested) if table.kind == "classes" else model.predict(tested))
    return predicted.reshape(len(tested), -1).astype(float)


def realmlp(table: ReferenceTable) -> Floats:
    """Return what the RealMLP of its authors predicts, without label smoothing, of the epoch that validates best."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    settings = {"device": "cpu", "random_state": 0, "n_threads": 2}
    if table.kind == "classes":
        model = RealMLP_TD_Classifier(**settings, use_ls=False, val_metric_name="cross_entropy")
    else:
        model = RealMLP_TD_Regressor(**settings)
    rows = _with_codes(table.columns)
    fitted_on, judged_by = ((rows.iloc[part], table.labels[part]) for part in (table.training, table.validation))
    model.fit(*fitted_on, *judged_by)
    tested = rows.iloc[table.test]
    predicted = np.asarray(model.predict_proba(tested) if table.kind == "classes" else model.predict(tested))
    return predicted.reshape(len(tested), -1).astype(float)


def h2o_defaults(table: ReferenceTable) -> Floats:
    """Return what H2O's Deep Learning predicts with its defaults."""
    return _h2o(table)


def h2o_wide(table: ReferenceTable) -> Floats:
    """Return what H2O's Deep Learning predicts with three layers of 256 after 50 epochs."""
    return _h2o(table, hidden=[256, 256, 256], epochs=50, stopping_rounds=0)


def _h2o(table: ReferenceTable, **settings: object) -> Floats:
    import h2o
    from h2o.estimators import H2ODeepLearningEstimator

    h2o.init(nthreads=2, max_mem_size="3g", log_level="ERRR")
    h2o.no_progress()
    label = "the_label"
    kinds = {name: "enum" for name, kind in table.columns.dtypes.items() if not is_numeric_dtype(kind)}
    if table.kind == "classes":
        kinds[label] = "enum"
    whole = table.columns.assign(**{label: table.labels})
    training, validation, test = (
        h2o.H2OFrame(whole.iloc[rows].reset_index(drop=True), column_types=kinds)
        for rows in (table.training, table.validation, table.test)
    )
    distributions = {"numbers": ["gaussian"], "counts": ["poisson"], "classes": ["multinomial"]}
    predicted = []
    for distribution, level in zip(distributions.get(table.kind, ["quantile"] * 3), QUANTILES, strict=False):
        one = {"quantile_alpha": level} if distribution == "quantile" else {}
        model = H2ODeepLearningEstimator(distribution=distribution, seed=1, **one, **settings)
        model.train(y=label, training_frame=training, validation_frame=validation)
        scored = model.predict(test).as_data_frame(use_multi_thread=False)
        predicted.append(scored.drop(columns="predict") if table.kind == "classes" else scored[["predict"]])
    return np.concatenate(predicted, axis=1).astype(float)


def _with_codes(columns: pd.DataFrame) -> pd.DataFrame:
    return columns.astype({name: "category" for name, kind in columns.dtypes.items() if not is_numeric_dtype(kind)})
