"""Calls that must be refused."""

import re

import numpy as np
import pytest


def refused(error, words, function, *args, **options):
    """The call raises that error with those words and leaves every array as it was."""
    held = [x for x in (*args, *options.values()) if isinstance(x, np.ndarray)]
    before = [x.tobytes() for x in held]
    with pytest.raises(error) as caught:
        function(*args, **options)
    for word in words:
        assert re.search(word, str(caught.value)), f"{word!r} not in {caught.value!s}"
    assert [x.tobytes() for x in held] == before, "an array was written"


def called(make, method):
    """Make the criterion and call the method: an option may be refused at either."""
    return lambda *args, **options: getattr(make(), method)(*args, **options)


def kind(dtype):
    """How a message must name a dtype: in words, or by its code."""
    dtype = np.zeros(1, dtype).dtype
    return f"{re.escape(dtype.name)}|{re.escape(dtype.str)}"
