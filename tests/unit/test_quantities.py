"""The list of quantities: every name that a report, a claim or a comparison uses is in it, once."""

from typing import get_args

import pytest
from params import ROOT
from result import evaluation, put, training

from convlab import results
from convlab.config import load_params
from convlab.models.build import build_model
from convlab.models.summary import summarise
from convlab.results import QUANTITIES, compare, difference_text, read, text_of
from convlab.results.reports import PRINTED, Numbers, ReportRow
from convlab.schema import COMPARABLE, METRICS, WITHIN, Claim


def test_a_claim_may_compare_what_has_a_title_and_a_format():
    assert get_args(Claim.model_fields["metric"].annotation) == COMPARABLE
    assert set(COMPARABLE) <= QUANTITIES.keys()
    assert {key for key, one in QUANTITIES.items() if one.read is None} == set(WITHIN)
    assert set(METRICS) <= set(results.OF_TRAININGS)


def test_a_report_may_print_what_has_a_title_and_a_format():
    assert set(PRINTED) == Numbers.model_fields.keys()
    assert set(PRINTED) <= ReportRow.model_fields.keys()
    assert set(compare.COMPARED) <= QUANTITIES.keys()


def test_no_two_quantities_are_called_the_same():
    titles = [one.title for one in QUANTITIES.values()]
    assert sorted(titles) == sorted(set(titles))


@pytest.mark.parametrize(
    ("quantity", "number", "text"),
    [
        ("test_accuracy", 0.99534, "99.53%"),
        ("gap", -0.0025, "-0.25%"),
        ("early_accuracy", 0.5, "50.00%"),
        ("oscillation_validation_accuracy", 0.0123, "1.23%"),
        ("test_loss", 0.01756, "0.0176"),
        ("running_loss", 1.2e-5, "1.20e-05"),
        ("train_loss", 0.0, "0.0000"),
        ("weight_norm", 371.71, "371.71"),
        ("parameters", 585_066, "585,066"),
        ("seconds", 1380.4, "1,380"),
        ("seconds", 2.53, "2.5"),
        ("epoch_seconds", 0.0959, "0.10"),
        ("last_lr", 0.00025, "0.00025"),
        ("map_distance", 0.5, "0.50"),
    ],
)
def test_a_number_is_shown_in_one_way(quantity, number, text):
    assert text_of(quantity, number) == text


@pytest.mark.parametrize(
    ("quantity", "number", "text"),
    [
        ("test_accuracy", -0.0041, "-0.41"),
        ("gap", 0.0142, "+1.42"),
        ("confusion_share", 0.35, "+35.00"),
        ("test_loss", 0.0144, "+0.0144"),
        ("parameters", -163_424, "-163,424"),
        ("last_lr", -0.0005, "-0.000500"),
    ],
)
def test_a_difference_has_its_sign_and_accuracies_are_in_points(quantity, number, text):
    assert difference_text(quantity, number) == text


def test_parameters_with_statistics_are_counted_from_the_configuration(tmp_path, monkeypatch):
    experiment = load_params(ROOT / "params.yaml").experiments["digits"]
    monkeypatch.chdir(tmp_path)
    configuration = experiment.model_dump(mode="json", exclude_defaults=True)
    one = training("digits", experiment.seed, configuration=configuration)
    put([one], [evaluation(one)])
    (row,) = results.rows("digits")
    network = summarise(build_model(experiment, experiment.input_shape, 10), experiment.input_shape)
    assert read.value(row, "parameters_in_all") == network.total_parameters > network.trainable_parameters


def test_a_configuration_that_the_schema_no_longer_has_counts_nothing():
    assert read.value({"configuration": {"model": {"name": "gone"}}}, "parameters_in_all") is None


def test_a_standard_deviation_has_the_format_of_its_mean():
    assert results.mean_text("test_loss", [0.0341, 0.0343]) == "0.0342 ± 0.0001"
    assert results.mean_text("running_loss", [1.0e-5, 1.4e-5]) == "1.20e-05 ± 2.83e-06"
    assert results.mean_text("seconds", [30.0, 33.0]) == "32 ± 2"
    assert results.mean_text("test_accuracy", []) == ""
