"""Nothing but `fetch` uses the network: neither the commands nor their worker processes, nor any library they load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# imported by every Python process at its start; what it raises may be caught, so each use is written down too
FORBIDDEN = """
import os, sys

def forbid(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        host = args[1][0] if isinstance(args[1], tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request"):
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host and host not in ("localhost", "::1") and not host.startswith("127."):
        with open(os.environ["USED"], "a") as used:
            print(event, host, file=used)
        raise OSError("there is no network")

with open(os.environ["USED"] + "-not", "a") as began:
    print(os.getpid(), file=began)
sys.addaudithook(forbid)
"""

COMMANDS = """
import sys
from pathlib import Path
from typer.testing import CliRunner
from tests.conftest import tiny_settings
from tinysegrank.cli import app
from tinysegrank.experiment import Silent, run_experiment

def call(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, (arguments, result.output)

folder = Path(sys.argv[1])
voc, run, out = folder / "voc", folder / "run", folder / "out"
call("toyvoc", voc, "--train", 10, "--val", 6)
run_experiment(run, tiny_settings(voc), jobs=2, progress=Silent())
call("predict", next((voc / "JPEGImages").iterdir()), "--run", run, "--out", out, "--proposals")
call("report", run, "--out", folder / "report.html")
call("export", "voc", run, "--out", out)
call("export", "proposals", run, "--out", out)
call("export", "safetensors", run, "--out", folder / "net")
call("evidence", run, "table-1", "--seeds", "0")
call("verify", run)
"""


def processes(tmp_path: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], str, int]:
    """Run Python without a network; return how it ended, what used the network, and the number of processes."""
    (tmp_path / "sitecustomize.py").write_text(FORBIDDEN)
    root, used = Path(__file__).parents[2], tmp_path / "used"
    environment = {**os.environ, "USED": str(used), "PYTHONPATH": os.pathsep.join((str(tmp_path), str(root)))}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    count = len(set((tmp_path / "used-not").read_text().split()))
    return done, used.read_text() if used.exists() else "", count


def test_no_command_but_fetch_uses_the_network(tmp_path):
    done, used, count = processes(tmp_path, "-c", COMMANDS, str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not used
    assert count >= 3  # the command and its two workers


def test_fetch_is_noticed(tmp_path):
    done, used, _ = processes(tmp_path, "-m", "tinysegrank", "fetch", "alexnet", "--to", str(tmp_path / "new"))
    assert done.returncode == 1 and "there is no network" in done.stderr + done.stdout
    assert "socket.getaddrinfo" in used
