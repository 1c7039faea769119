"""The logistic regression of baselines, the same on pixels and on images."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def logistic_regression() -> "Pipeline":
    """Return an unfitted logistic regression (C = 1) on standardised values, which are to be float64.

    Newton's steps end at the minimum itself, in a handful of passes over the values where L-BFGS takes hundreds, so
    that the result does not depend on the number of threads.
    """
    # Imported where it is used: it takes a second, and most actions need no baseline.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000, tol=1e-6, solver="newton-cholesky"))
