"""Commands about files: check, plan, schema, init, list, explain."""

import json

from good_file import GOOD, ROOT


def test_check_says_what_is_there(call):
    done = call("check", "good.yaml")
    assert (done.exit_code, done.output) == (0, "good.yaml: ok (4 nodes, 1 fault, 1 expectation)\n")


def test_check_tells_good_files_beside_bad_ones(call, folder):
    (folder / "bad.yaml").write_text(GOOD.replace("halves", "halfs"))
    done = call("check", "bad.yaml", "good.yaml")
    assert done.exit_code == 2
    assert "good.yaml: ok" in done.stdout
    assert done.stderr.startswith("bad.yaml:6:")


def test_check_plans_too(call, folder):
    (folder / "nobody.yaml").write_text(GOOD.replace("partition: halves", "kill: {of: n1, but: n1}"))
    done = call("check", "nobody.yaml")
    assert done.exit_code == 2
    assert done.stderr.startswith("nobody.yaml:6:")


def test_check_as_json(call, folder):
    (folder / "bad.yaml").write_text(GOOD.replace("halves", "halfs"))
    done = call("check", "bad.yaml", "--json")
    problem = json.loads(done.stdout)["problems"][0]
    assert (problem["file"], problem["line"], done.exit_code) == ("bad.yaml", 6, 2)
    assert json.loads(call("check", "good.yaml", "--json").stdout) == {"problems": []}


def test_problems_do_not_forge_lines(call, folder):
    (folder / "bad.yaml").write_text(GOOD.replace("halves", '"a\\nb\\e[2J"'))
    done = call("check", "bad.yaml")
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_plan(call, folder):
    done = call("plan", "good.yaml", "--seed", 3, "--svg", "plan.svg")
    assert done.exit_code == 0
    assert "seed 3" in done.stdout
    assert "split" in done.stdout
    assert (folder / "plan.svg").read_text().startswith("<svg")
    again = call("plan", "good.yaml", "--seed", 3).stdout
    assert again == done.stdout
    assert json.loads(call("plan", "good.yaml", "--seed", 3, "--json").stdout)["seed"] == 3


def test_schema(call):
    assert json.loads(call("schema").stdout)["type"] == "object"


def test_init_writes_a_scenario_that_checks_and_overwrites_nothing(call, folder):
    assert call("init", "my.yaml").exit_code == 0
    assert call("check", "my.yaml").exit_code == 0
    before = (folder / "my.yaml").read_text()
    done = call("init", "my.yaml")
    assert (done.exit_code, done.stderr) == (
        2,
        "seatrial: my.yaml exists already and is left as it is; name another file, or '-' to see it\n",
    )
    assert (folder / "my.yaml").read_text() == before
    assert call("init", "-").stdout == before
    assert call("init", "no/folder/my.yaml").exit_code == 2


def test_list_shipped(call):
    done = call("list")
    assert "halves.yaml" in done.stdout
    assert "(no sentence about it)" not in done.stdout
    rows = json.loads(call("list", "--json").stdout)["scenarios"]
    assert len(rows) == len(list((ROOT / "scenarios").rglob("*.yaml")))


def test_list_runs_and_broken_files(call, engine, folder):
    engine.runs = [("violated", 1)]
    call("run", "good.yaml")
    (folder / "runs/run-1/scenario.yaml").write_text(GOOD)
    (folder / "runs/cut-short").mkdir()
    (folder / "runs/cut-short/journal.jsonl").write_text("")
    done = call("list", "runs")
    assert done.stdout == "runs/cut-short: no verdict\nruns/run-1: violated, seed 7\n"
    (folder / "bad.yaml").write_text("[")
    assert "bad.yaml" in call("list", ".").stdout
    assert call("list", "nowhere").exit_code == 2


def test_explain(call):
    everything = call("explain").stdout
    for word in ("partition", "connected", "duration", "devnet"):
        assert word in everything
    assert "``" not in everything
    assert max(map(len, everything.splitlines())) <= 80
    page = call("explain", "clock").stdout
    assert "offset" in page
    assert max(map(len, page.splitlines())) <= 80


def test_explain_for_machines(call):
    bugs = json.loads(call("explain", "devnet", "--json").stdout)["bugs"]
    assert len(bugs) >= 10
    assert set(bugs[0]) == {"name", "about", "caught_by", "expectation", "reason_has"}
    assert json.loads(call("explain", "kill", "--json").stdout)["short"] == "of"


def test_explain_what_is_not_there(call):
    done = call("explain", "partitoin")
    assert done.exit_code == 2
    assert "did you mean 'partition'" in done.stderr
