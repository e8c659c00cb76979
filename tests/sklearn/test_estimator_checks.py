"""scikit-learn's own checks of estimators."""

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra `app`)")
from sklearn.utils.estimator_checks import parametrize_with_checks

from pullback.sklearn import MLPClassifier, MLPRegressor, NeuralClassifier, NeuralRegressor


@parametrize_with_checks(
    [
        MLPClassifier(max_iter=100),
        MLPRegressor(max_iter=100),
        NeuralClassifier(max_iter=100),
        NeuralRegressor(max_iter=100),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_pass_the_checks_of_scikit_learn(estimator, check):
    check(estimator)
