"""JUnit: the shape that build servers read, and that unknown never passes."""

from xml.etree import ElementTree as ET

import pytest

from runner.reports.junit import junit

SUITE = {"name", "tests", "failures", "errors", "skipped", "time"}


def parsed(*verdicts):
    return ET.fromstring(junit(verdicts).encode())


def check_shape(root):
    """The common subset of the schemas in use: attributes, their types, the order of elements."""
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        assert set(suite.attrib) == SUITE
        cases = suite.findall("testcase")
        assert int(suite.get("tests")) == len(cases)
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("errors")) == len(suite.findall("testcase/error"))
        order = ["properties", "testcase", "system-out", "system-err"]
        kinds = [order.index(child.tag) for child in suite]
        assert kinds == sorted(kinds)
        for case in cases:
            assert set(case.attrib) == {"name", "classname", "time"}
            assert float(case.get("time")) >= 0
            assert [c.tag for c in case] in ([], ["failure"], ["error"])
            for inner in case:
                assert set(inner.attrib) == {"message", "type"}


def test_held(held, snapshot):
    root = parsed(held)
    check_shape(root)
    assert root.get("tests") == "8"
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    assert junit([held], took_s=[37.5]) == snapshot


def test_violated_is_a_failure_unknown_and_unproved_are_errors(violated):
    root = parsed(violated)
    check_shape(root)
    found = {c.get("name"): [i.tag for i in c] for c in root.iter("testcase")}
    assert found["after-split"] == ["failure"]
    assert found["after-crash"] == ["error"]
    assert found["crash (kill) took effect and is gone"] == ["error"]
    assert found["skew (clock) took effect and is gone"] == ["error"]
    assert found["split (partition) took effect and is gone"] == []


def test_text_from_the_network_is_escaped_and_legal(violated):
    violated["expectations"][2]["reason"] = '</failure><x a="1">&\x00\x1b\ufffe\ud800"'
    root = parsed(violated)
    check_shape(root)
    failure = next(root.iter("failure"))
    assert failure.get("message") == '</failure><x a="1">&"'
    assert "n4: violated: no connection" in failure.text


@pytest.mark.parametrize(("verdict", "code"), [("inconclusive", 3), ("held", 4), ("held", 5)])
def test_a_run_that_did_not_hold_never_passes(held, verdict, code):
    held.update(verdict=verdict, exit_code=code, reasons=["aborted by hand"])
    root = parsed(held)
    check_shape(root)
    assert root.get("errors") == "1"


def test_permanent_fault_is_not_missed_at_the_end(held):
    held["faults"][0].update(permanent=True, healed=None)
    assert parsed(held).get("errors") == "0"
    held["faults"][0].update(permanent=False)
    assert parsed(held).get("errors") == "1"


def test_several_runs(held, violated):
    root = parsed(held, violated)
    check_shape(root)
    assert [s.get("failures") for s in root] == ["0", "1"]
    assert root.get("tests") == "16"
