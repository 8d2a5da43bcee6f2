"""The conformance suite for authors of spaces and proxies: does a plug-in keep what the rest of the package relies on?

    from automl_theory.testing import check_proxy, check_space

    def test_my_space():
        check_space(MySpace(), network={"channels": 4})

    def test_my_proxy():
        check_proxy(my_proxy)

Each returns the list of promises that it checked, and raises `BrokenPromise`, an AssertionError that says which promise
is broken and how to mend it. No test framework is needed.
"""

from automl_theory.testing.promise import BrokenPromise
from automl_theory.testing.proxies import check_proxy
from automl_theory.testing.spaces import check_space

__all__ = ["BrokenPromise", "check_proxy", "check_space"]
