"""A last batch of one image: refused where it could not be normalised."""

import pytest
from training import Recipe

from convlab.errors import InputError
from convlab.models.build import build_model
from convlab.models.summary import layers_of
from convlab.networks.feasible import check_last_batch

DEEP = {"name": "preact", "stem": 8, "widths": [8, 8, 8, 8], "activation": "relu"}


def deep(recipe: Recipe, **more: object):
    return recipe().model_validate({**recipe().model_dump(exclude_defaults=True), "model": DEEP, **more})


def test_the_maps_of_this_network_are_1_by_1_in_the_end(recipe: Recipe) -> None:
    shapes = [one.output_shape for one in layers_of(build_model(deep(recipe), [1, 8, 8], 10), [1, 8, 8])]
    assert (8, 1, 1) in shapes


def test_a_last_batch_of_one_image_is_refused_for_it_alone(recipe: Recipe) -> None:
    rest = 1437 - 250
    with pytest.raises(InputError, match="found 2, which leaves a last batch of one of the 1,187 images"):
        check_last_batch("experiments.deep", deep(recipe, batch_size=2))
    with pytest.raises(InputError, match="found 1186, which leaves"):
        check_last_batch("experiments.deep", deep(recipe, batch_size=rest - 1))
    with pytest.raises(InputError, match="found 1, which leaves"):
        check_last_batch("experiments.deep", deep(recipe, batch_size=1))
    check_last_batch("experiments.deep", deep(recipe, batch_size=64))
    check_last_batch("experiments.wide", recipe(batch_size=2))
