"""A password that a study file names is in nothing that others may see."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from servers import has_postgresql, mlflow_server, postgresql

LISTENING = """
import psutil
from wordlength.search.study_file.spec import WorkersSpec
from wordlength.search.workers import WorkerPool

with WorkerPool(None, WorkersSpec(count=1)):
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        for known in process.net_connections():
            if known.status == psutil.CONN_LISTEN:
                print(known.laddr.ip)
"""
CANARY = "canary-4711"
STUDY = """
name: secret
data:
  speech: [{{kind: builtin}}]
  noise: [{{kind: builtin}}]
  snr_db: [0]
  mixtures_per_utterance: 1
  validation_mixtures: 4
  subset_fraction: 0.05
training: {{baseline_epochs: 1, step_one_epochs: 1, step_two_epochs: 1}}
space:
  weights: {{fixed: {{bits: [3, 8]}}}}
  activations: fixed<16,4>
search: {{trials: 1, first_front: 0, allocated: 0}}
workers: {{count: 1}}
storage:
  optuna: {optuna}
  tracking: {tracking}
  patience_minutes: 0.05
"""


def test_ray_of_one_machine_listens_on_loopback_only() -> None:
    done = subprocess.run([sys.executable, "-c", LISTENING], capture_output=True, text=True, timeout=120)
    listening = set(done.stdout.split())
    assert listening, done.stderr
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


@pytest.mark.skipif(not has_postgresql(), reason="PostgreSQL is not installed")
def test_a_password_in_a_study_file_is_in_no_log_no_run_and_no_export(tmp_path: Path) -> None:
    home, file, exported = tmp_path / "home", tmp_path / "secret.yaml", tmp_path / "best"

    def wordlength(*arguments: object) -> subprocess.CompletedProcess[str]:
        asked = [sys.executable, "-m", "wordlength", *map(str, arguments), "--home", str(home)]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=300)
        assert CANARY not in done.stdout + done.stderr
        return done

    with postgresql() as database, mlflow_server(tmp_path / "mlflow") as server:
        addresses = {
            "optuna": database.address.replace("wordlength@", f"wordlength:{CANARY}@"),
            "tracking": server.address.replace("http://", f"http://ann:{CANARY}@"),
        }
        file.write_text(STUDY.format(**addresses))
        done = wordlength("launch", file, "--verbose")
        assert done.returncode == 0, done.stderr
        assert wordlength("check", "secret").returncode == 0
        assert wordlength("export", "secret", "--pick", "knee", "--to", exported, "--no-verify").returncode == 0
        server.kill()
        done = wordlength("launch", file, "--trials", 2)
        assert done.returncode == 2
        assert "MLflow's tracking server must answer" in done.stderr
        assert wordlength("check", "secret").returncode == 2
        server.start()
        server.until_up()
        database.kill()
        done = wordlength("launch", file, "--trials", 2)
        assert done.returncode == 2
        assert "the trials' storage must open" in done.stderr

    known = [path for folder in (home, exported, tmp_path / "mlflow") for path in folder.rglob("*") if path.is_file()]
    told = {path for path in known if CANARY.encode() in path.read_bytes()}
    kept = home / "studies" / "secret" / "study.yaml"
    assert told == {kept}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
