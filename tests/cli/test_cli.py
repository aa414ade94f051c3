"""The command, called as a user calls it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from tinysegrank import __version__
from tinysegrank.cli import app
from tinysegrank.cli.evidence import parse_seeds
from tinysegrank.errors import ConfigError
from tinysegrank.experiment import Progress
from tinysegrank.voc import VOCSegmentation, make_toy_voc


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    make_toy_voc(root, train=4, val=2, seed=0)
    return root


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_lists_the_commands():
    result = call("--help")
    assert result.exit_code == 0
    for command in ("demo", "run", "predict", "evaluate", "evidence", "report", "verify", "toyvoc", "doctor"):
        assert command in result.output


@pytest.mark.parametrize(
    "statement",
    ["import tinysegrank", "from tinysegrank.cli import app; app(['--help'], standalone_mode=False)"],
    ids=["import", "help"],
)
def test_what_is_heavy_is_imported_where_it_is_used(statement):
    """Importing the package and asking for help take no numerical library: these are what takes a second."""
    script = f"import sys; {statement}; print('imported:', *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split("imported: ")[1].split())
    heavy = {"numpy", "scipy", "numba", "sklearn", "skimage", "matplotlib", "joblib", "PIL", "torch", "jax", "cupy"}
    assert not imported & heavy


def test_a_wrong_path_is_refused_before_anything_slow_is_imported(tmp_path, toy):
    (tmp_path / "run.toml").touch()
    wrong = [
        ["predict", str(toy / "JPEGImages"), "--run", "nowhere"],
        ["predict", "nowhere", "--run", str(tmp_path)],
        ["report", "nowhere"],
        ["evidence", "nowhere"],
        ["verify", "nowhere"],
        ["export", "onnx", "nowhere"],
        ["evaluate", "labels", "--voc", "nowhere"],
        ["evaluate", "nowhere", "--voc", str(toy)],
        ["run", "--voc", "nowhere", "--out", "new"],
        ["run", "--voc", str(toy), "--weights", "nowhere", "--out", "new"],
    ]
    script = f"""
        import sys
        from tinysegrank.cli import app
        for arguments in {wrong}:
            try:
                app(arguments)
            except SystemExit as ended:
                print(ended.code)
        print("imported:", *sorted(sys.modules))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    codes, imported = done.stdout.split("imported: ")
    assert codes.split() == ["1"] * len(wrong)
    assert done.stderr.count("error: ") == done.stderr.count("nowhere: ") == len(wrong), done.stderr
    assert not {"numpy", "PIL", "matplotlib", "rich"} & set(imported.split())


@pytest.mark.parametrize("arguments", [["-h"], ["run", "-h"], ["export", "voc", "-h"]])
def test_help_has_a_short_form(arguments):
    assert call(*arguments).output == call(*arguments[:-1], "--help").output


def test_completion_can_be_installed():
    assert "--install-completion" in call("--help").output


@pytest.mark.parametrize("option", ["--quiet", "-q"])
@pytest.mark.parametrize("place", [0, 1])
def test_quiet_shows_no_progress(tmp_path, monkeypatch, option, place):
    arguments = ["toyvoc"]
    arguments.insert(place, option)
    used = []
    monkeypatch.setattr("tinysegrank.cli.show.Shown", lambda on: used.append(on) or Progress())
    for given, shown in ((arguments, 0), (["toyvoc"], 1)):
        result = call(*given, tmp_path / "toy", "--train", 1, "--val", 1, "--jobs", 1)
        assert (result.exit_code, len(used)) == (0, shown), result.output
        assert "1 training and 1 validation scenes" in result.output


class Counting(Progress):
    def __init__(self):
        self.counted = []

    @contextmanager
    def count(self, what, total):
        units = []
        yield units.append
        assert sum(units) == total
        self.counted.append((what, total))


def test_loops_over_files_have_bars(tmp_path, monkeypatch, tiny_run):
    progress = Counting()
    monkeypatch.setattr("tinysegrank.cli.show.Shown", lambda on: progress)
    labels, voc = tiny_run.folder("picked") / "svm", tiny_run.settings.data.voc
    copied = ("export", "proposals", tiny_run.path, "--out", tmp_path)
    shutil.copytree(tiny_run.path, tmp_path / "run")
    evidence = ("evidence", tmp_path / "run", "rerank-alone", "--jobs", 1)
    for command in (("verify", tiny_run.path), ("evaluate", labels, "--voc", voc, "--jobs", 1), copied, evidence):
        result = call(*command)
        assert result.exit_code == 0, result.output
    counted = [one for one in progress.counted if one[0] != "stages checked"]
    assert [what for what, _ in counted] == ["folders", "label maps", "files", "rankers"] and counted[1][1] == 6
    assert len(progress.counted) > len(counted)


def test_version():
    assert call("--version").output == f"tinysegrank {__version__}\n"


def test_python_dash_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "tinysegrank", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"tinysegrank {__version__}\n"


def test_doctor_says_what_is_there(monkeypatch):
    monkeypatch.setenv("TINYSEGRANK_BACKEND", "abacus")
    monkeypatch.delenv("TINYSEGRANK_VOC", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    result = call("doctor")
    assert result.exit_code == 0, result.output
    for word in ("Python", "numpy", "BLAS", "unknown backend", "TINYSEGRANK_VOC is not set", "'.[cuda12]'"):
        assert word in " ".join(result.output.split())


def test_toyvoc_makes_what_the_reader_reads(tmp_path):
    result = call("toyvoc", tmp_path / "toy", "--train", 3, "--val", 2, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert len(VOCSegmentation(tmp_path / "toy", "train")) == 3


def test_evaluate_prints_and_writes_a_table(tmp_path, toy):
    result = call("evaluate", toy / "SegmentationClass", "--voc", toy, "--jobs", 1)
    assert result.exit_code == 1  # the truth has void pixels, which are no prediction
    assert "255" in result.stderr
    (tmp_path / "labels").mkdir()
    from tinysegrank.voc import write_labels

    split = VOCSegmentation(toy, "val")
    for i, name in enumerate(split.names):
        truth = split.labels(i)
        truth[truth == 255] = 0
        write_labels(tmp_path / "labels" / f"{name}.png", truth)
    table = tmp_path / "table.csv"
    result = call("evaluate", tmp_path / "labels", "--voc", toy, "--classes", "background", "--csv", table, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "100.0" in result.output
    assert table.read_text().startswith("class,labels\nbackground,100.0\n")


UNTRAINED = ("--experiment", "demo")  # needs no weights


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--voc", "nowhere"], "nowhere: is missing; give the folder that holds JPEGImages"),
        (["--voc", "TOY", "--set", "data.train=train"], "--experiment demo takes a small network"),
        (
            ["--voc", "TOY", "--set", "data.train=train", "--weights", "nowhere.caffemodel"],
            "nowhere.caffemodel: cannot be read: No such file or directory; check the path",
        ),
        (["--voc", "TOY", "--set", "data.train=trian"], "trian.txt: there is no such split"),
        (["--voc", "TOY", "--set", "training.start.stepz=3"], "unknown key 'stepz'"),
        (["--voc", "TOY", "--experiment", "slow"], "choose one of"),
        (["--voc", "TOY", "--set", "data.train=train", "--preset", "resnet", "--weights", "TOY"], 'preset="resnet"'),
        (["--voc", "TOY", "--set", "data.train=val", "--set", "trunk.preset=tiny"], "both in val and val"),
        (["--voc", "TOY", "--classes", "cat,unicorn"], "unicorn"),
        (["--voc", "TOY", "--until", "tea"], 'until="tea": choose one of data, trunk'),
        (["--voc", "TOY", "--set", "folds=1"], "folds=1: give at least 2"),
        (["--voc", "TOY", "--limit", "-1"], "data.limit=-1: give at least 0"),
        (["--voc", "TOY", "--set", "ranking.eps=nan"], "ranking.eps=NaN: give a finite number"),
        (["--voc", "TOY", "--set", "experiment=fast"], 'experiment="fast": choose one of'),
        (["--voc", "TOY", *UNTRAINED, "--set", "folds=5"], "folds=5: train lists 4 images; pass --set folds=4 or less"),
        (["--voc", "TOY", *UNTRAINED, "--limit", "1"], "folds=2: train lists 1 image; a run needs at least 2"),
        (["--voc", "TOY", "--set", 'proposals.folder="caf\udce9"'], "rename the file or folder"),
        (["--voc", "TOY", "--config", "TOY"], "cannot be read: Is a directory"),
        (["--voc", "TOY", "--config", "nowhere.toml"], "nowhere.toml: cannot be read: No such file"),
    ],
)
def test_run_refuses_bad_input_before_it_makes_anything(tmp_path, toy, arguments, message):
    arguments = [str(toy) if argument == "TOY" else argument for argument in arguments]
    result = call("run", *arguments, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("way", ["--set", "--config"])
def test_a_bad_setting_leaves_the_settings_file_as_it_was(tmp_path, toy, way):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.toml").write_text("# of a finished run\nseed = 0\n")
    (tmp_path / "changes.toml").write_text("[ranking]\neps = nan\n")
    given = "ranking.eps=nan" if way == "--set" else tmp_path / "changes.toml"
    result = call("run", "--voc", toy, "--out", run, "--update", way, given)
    assert result.exit_code == 1
    assert "ranking.eps=NaN" in result.stderr
    assert [path.name for path in run.iterdir()] == ["run.toml"]
    assert (run / "run.toml").read_text() == "# of a finished run\nseed = 0\n"


def test_the_experiment_that_a_settings_file_names_is_the_one_started_from(tmp_path, toy, monkeypatch):
    import tinysegrank.experiment as experiment

    taken = []
    monkeypatch.setattr(experiment, "run_experiment", lambda path, settings, **_: taken.append(settings))
    (tmp_path / "changes.toml").write_text('experiment = "paper"\nseed = 7\n')
    for given in (["--config", tmp_path / "changes.toml"], ["--experiment", "paper", "--set", "seed=7"]):
        result = call("run", "--voc", toy, "--out", tmp_path / "run", "--until", "data", *given)
        assert result.exit_code == 0, result.output
    assert taken[0] == taken[1]
    assert (taken[0].experiment, taken[0].seed, taken[0].folds) == ("paper", 7, 10)


@pytest.mark.parametrize(
    "arguments",
    [
        ("demo", "--out", "OUT/run"),
        ("run", "--voc", "TOY", "--out", "OUT/run"),
        ("evidence", "MADE", "all"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_backend_that_cannot_be_used_is_said_before_any_work(tmp_path, toy, monkeypatch, arguments):
    monkeypatch.setenv("TINYSEGRANK_BACKEND", "nmupy")
    places = {"TOY": str(toy), "OUT/run": str(tmp_path / "run"), "MADE": str(tmp_path / "made")}
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "run.toml").touch()
    result = call(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == 1
    assert "TINYSEGRANK_BACKEND=nmupy: unknown backend" in " ".join(result.stderr.split())
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "run.toml"]


@pytest.mark.parametrize("command", ["demo", "toyvoc"])
def test_a_negative_seed_is_a_wrong_option(tmp_path, command):
    result = call(command, *([tmp_path / "toy"] if command == "toyvoc" else ["--out", tmp_path / "run"]), "--seed", -1)
    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_links_that_lead_to_each_other_are_refused(tmp_path, toy):
    (tmp_path / "loop").symlink_to("loop")
    for given in (
        ["--out", tmp_path / "loop"],
        ["--out", tmp_path / "run", "--set", f"proposals.folder={tmp_path}/loop"],
    ):
        result = call("run", "--voc", toy, *UNTRAINED, "--set", "proposals.engine=folder", *given)
        assert result.exit_code == 1 and "error: " in result.stderr, result.output


def test_settings_override_a_folder_that_is_wrong(tmp_path, toy):
    given = ("--voc", tmp_path, "--set", f"data.voc={toy}", "--set", "data.train=train", "--until", "data")
    assert call("run", *given, "--out", tmp_path / "run", *UNTRAINED).exit_code == 0


def test_predict_needs_a_finished_run(tmp_path):
    result = call("predict", "photo.jpg", "--run", tmp_path, "--out", tmp_path)
    assert result.exit_code == 1
    assert "is not a run folder" in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


def test_seeds_are_whole_numbers():
    assert parse_seeds("0, 12,7") == (0, 12, 7)
    for text in ("", "0,", "-1", "1.5", "٣", "9" * 5000):  # Python converts no more than 4,300 digits
        with pytest.raises(ConfigError, match="give comma-separated whole numbers"):
            parse_seeds(text)
