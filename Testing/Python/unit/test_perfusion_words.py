"""The methods texts name terms of the OSIPI lexicon; each code is checked against its published meaning."""

import re
from types import SimpleNamespace

import pytest

from BMVascularCore.perfusion import dsc_report, methods_text
from BMVascularCore.perfusion.dce_settings import MODELS, DceSettings
from BMVascularCore.perfusion.input_function import InputFunction

# code -> words of the lexicon (osipi.github.io/OSIPI_CAPLEX) that must stand near it in our text
LEXICON = {
    "M.IC1.004": "Tofts",
    "M.IC1.005": "extended Tofts",
    "M.IC1.006": "Patlak",
    "M.IC1.009": "two-compartment exchange",
    "M.IC2.001": "Parker",
    "M.IC2.002": "Georgiou",
    "M.IC2.003": "Weinmann",
    "M.SM2.002": "spoiled gradient echo",
    "M.LC1.001": "unidirectional|Boxerman|BSW",
    "M.LC1.002": "bidirectional",
    "Q.PH1.001": "ve and vp",
    "Q.PH1.002": "plasma flow",
    "Q.PH1.004": "PS",
    "Q.PH1.007": "arrival delay",
    "Q.PH1.008": "Ktrans",
    "Q.EL1.009": r"dR2\*",
    "Q.LC1.001": "K1",
    "Q.LC1.002": "K2",
}


def dce_text(**changes):
    settings = DceSettings(tr_s=0.005, flip_deg=15.0, **changes)
    name = "population function (Parker 2006)"
    if settings.population_aif:
        name = f"population function ({settings.population_aif.title()})"
    source = InputFunction(None, None, name)
    return methods_text.describe_dce(settings, source, (1, 6), True)


def codes_of(text):
    return re.findall(r"\b[MQPD]\.[A-Z]{2}\d\.\d{3}\b", text)


@pytest.mark.parametrize("model", MODELS)
def test_dce_codes_mean_what_the_text_says(model):
    for aif in ("parker", "georgiou", "weinmann", "brain"):
        text = dce_text(model=model, population_aif=aif, fit_delay=True, te_s=0.002, r2s_relaxivity=7.0)
        codes = codes_of(text)
        assert codes and set(codes) <= set(LEXICON)
        for code in codes:
            near = text[max(0, text.index(code) - 90) : text.index(code)]
            assert re.search(LEXICON[code], near), (code, near)
        assert "T2* decay was included (TE 2 ms, r2* 7 /s/mM)" in text
        assert ("M.IC2" in text) == (aif != "brain")


def test_codes_in_the_code_are_those_of_the_lexicon():
    for module in (methods_text, dsc_report):
        with open(module.__file__, encoding="utf-8") as stream:
            assert set(codes_of(stream.read())) <= set(LEXICON)


def test_no_code_is_claimed_for_a_given_curve():
    settings = SimpleNamespace(population_aif=None, aif_is_plasma=True)
    text = methods_text._input_words(settings, InputFunction(None, None, "given curve (plasma)"))
    assert not codes_of(text)
