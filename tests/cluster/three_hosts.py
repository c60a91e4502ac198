"""ray_cluster.yaml for real, on three hosts that are network namespaces of this machine (`make test-cluster`, as root).

Each host has its own network, processes, /tmp and home, and an sshd. `ray up` brings up a head and two workers through
Ray's local provider, a study is submitted and runs across all three, one worker host is cut off in the middle of it,
and the study finishes complete. What differs from a cluster of one's own: the hosts cannot reach a package registry, so
they share this checkout's virtual environment in place of installing one each.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv" / "bin"
BRIDGE, NETWORK, USER = "wlbridge", "10.77.0", "wordlength"
HOME = f"/srv/{USER}"
HOSTS = {"wlhead": 1, "wlworker1": 2, "wlworker2": 3}
CUT = "wlworker2"
STUDY = """
name: three-hosts
data:
  speech: [{kind: builtin}]
  noise: [{kind: builtin}]
  snr_db: [0]
  mixtures_per_utterance: 1
  validation_mixtures: 8
  subset_fraction: 0.1
training: {baseline_epochs: 1, step_one_epochs: 3, step_two_epochs: 3}
space:
  weights: {fixed: {bits: [3, 8]}}
  activations: fixed<16,4>
search: {trials: 18, first_front: 3}
workers: {count: 3, cpus: 2, minutes: 10}
storage:
  optuna: postgresql+psycopg://wordlength@10.77.0.1/postgres
  tracking: http://10.77.0.1:5000
"""
LOGIN = {"PGPASSWORD": "canary-trials", "MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "canary-runs-12"}


def say(text: str) -> None:
    print(f"three_hosts: {text}", flush=True)


def skip(reason: str) -> None:
    say(f"skipped: {reason}")
    sys.exit(0)


def do(*command: object, timeout: float = 120, **options: object) -> str:
    parts = [str(part) for part in command]
    done = subprocess.run(parts, capture_output=True, text=True, timeout=timeout, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return str(done.stdout)


def check_machine() -> None:
    if os.geteuid() != 0:
        skip("network namespaces need root")
    for program, package in (
        ("ip", "iproute2"),
        ("sshd", "openssh-server"),
        ("rsync", "rsync"),
        ("initdb", "postgresql"),
    ):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/lib/postgresql/15/bin") is None:
            skip(f"{program} is not here (Debian: apt-get install {package})")
    tried = subprocess.run(["ip", "netns", "add", "wltry"], capture_output=True, text=True)
    if tried.returncode:
        skip(f"network namespaces are not permitted: {tried.stderr.strip()}")
    if ROOT.is_relative_to("/tmp"):
        skip("this checkout lies below /tmp, of which every host has one of its own")
    do("ip", "netns", "del", "wltry")


@contextlib.contextmanager
def network() -> Iterator[None]:
    """A bridge and a host on it for each name."""
    try:
        do("ip", "link", "add", BRIDGE, "type", "bridge")
        do("ip", "addr", "add", f"{NETWORK}.254/24", "dev", BRIDGE)
        do("ip", "link", "set", BRIDGE, "up")
        for host, number in HOSTS.items():
            do("ip", "netns", "add", host)
            do("ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", host)
            do("ip", "link", "set", host, "master", BRIDGE, "up")
            do("ip", "-n", host, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            do("ip", "-n", host, "link", "set", "eth0", "up")
            do("ip", "-n", host, "link", "set", "lo", "up")
        yield
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)


@contextlib.contextmanager
def hosts(folder: Path) -> Iterator[None]:
    """An sshd in every namespace, with processes, home and /tmp of its own."""
    # With a password that nothing matches: sshd lets nobody in whose account has none.
    account = ["--no-create-home", "--home-dir", HOME, "--shell", "/bin/bash", "--password", "*"]
    do("useradd", *account, USER)
    key = folder / "key"
    do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    Path("/run/sshd").mkdir(exist_ok=True)
    Path(HOME).mkdir(exist_ok=True)
    running = []
    try:
        for host, number in HOSTS.items():
            home, scratch, root = (folder / host / part for part in ("home", "tmp", "root"))
            (home / ".ssh").mkdir(parents=True)
            scratch.mkdir()
            root.mkdir()
            shutil.copy(f"{key}.pub", home / ".ssh" / "authorized_keys")
            # How the head's user gets its logins: from the environment.
            exports = "".join(f"export {name}={value}\n" for name, value in LOGIN.items())
            (home / ".bashrc").touch()
            (home / ".profile").write_text(exports if number == 1 else "")
            do("chown", "-R", f"{USER}:", home)
            scratch.chmod(0o1777)
            do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / host / "host_key")
            # The interpreter may lie in root's home, which others must not look into: they see this part of it only.
            mounts = [f"mount --bind {home} {HOME}", f"mount --bind {scratch} /tmp"]
            private, interpreter = Path("~root").expanduser(), Path(sys.base_prefix)
            if interpreter.is_relative_to(private):
                part = interpreter.relative_to(private).parts[0]
                (root / part).mkdir()
                mounts = [f"mount --bind {private / part} {root / part}", f"mount --rbind {root} {private}", *mounts]
            options = f"-D -e -f /dev/null -o ListenAddress={NETWORK}.{number} -o HostKey={folder / host / 'host_key'}"
            options += " -o PidFile=none -o MaxStartups=100"
            inside = " && ".join([*mounts, f"exec /usr/sbin/sshd {options}"])
            command = [
                "ip",
                "netns",
                "exec",
                host,
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
            ]
            log = (folder / f"{host}.log").open("w")
            running.append(subprocess.Popen([*command, "sh", "-c", inside], stdout=log, stderr=log))
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
        subprocess.run(["userdel", "--force", USER], capture_output=True)


def cluster_file(folder: Path) -> Path:
    """The repository's own, with these hosts' addresses, this key, and the shared environment."""
    plain = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text(encoding="utf-8"))
    head, *workers = (f"{NETWORK}.{number}" for number in HOSTS.values())
    plain["provider"] |= {"head_ip": head, "worker_ips": workers}
    plain["auth"] |= {"ssh_user": USER, "ssh_private_key": str(folder / "key")}
    plain["file_mounts"]["~/wordlength"] = str(ROOT)
    plain["setup_commands"] = [f"ln -sfn {ROOT / '.venv'} ~/wordlength-venv"]
    file = folder / "ray_cluster.yaml"
    file.write_text(yaml.safe_dump(plain, sort_keys=False))
    return file


def on_head(folder: Path, command: str, timeout: float = 300) -> str:
    options = [
        "-i",
        folder / "key",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    ]
    activated = f"bash -lc '. ~/wordlength-venv/bin/activate && {command}'"
    return do("ssh", *options, f"{USER}@{NETWORK}.1", activated, timeout=timeout)


def until_joined(folder: Path) -> None:
    """Until Ray's head knows all hosts."""
    end = time.monotonic() + 300
    alive = "python -c \"import ray; ray.init('auto', logging_level=40); print('nodes:', len(ray.nodes()))\""
    while f"nodes: {len(HOSTS)}" not in on_head(folder, alive.replace("'", "'\\''")):
        if time.monotonic() > end:
            raise TimeoutError("the workers did not join")
        time.sleep(3)


def ray(folder: Path, *command: object) -> None:
    """Run it with the user's own environment."""
    do(BIN / "ray", *command, timeout=300, env=at_home(folder), stdin=subprocess.DEVNULL)


def at_home(folder: Path) -> dict[str, str]:
    """The user's own environment, with the cluster's token in its home."""
    return os.environ | {"HOME": str(folder)}


def submitted(folder: Path, study: Path) -> subprocess.Popen[str]:
    command = [BIN / "wordlength", "submit", study, "--address", f"http://{NETWORK}.1:8265", "--wait"]
    return subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=at_home(folder),
    )


def follow(launch: subprocess.Popen[str]) -> str:
    """Print what the launch prints; cut one host off once trials have ended."""
    assert launch.stdout is not None
    text, cut = "", False
    for line in launch.stdout:
        text += line
        print(f"    {line}", end="", flush=True)
        if not cut and re.match(r"trials: [3-9] of", line):
            do("ip", "link", "set", CUT, "down")
            say(f"{CUT} is cut off from the network")
            cut = True
    if launch.wait(timeout=600) or not cut:
        raise RuntimeError(f"the launch ended with {launch.returncode}, cut off: {cut}")
    return text


def main() -> None:
    check_machine()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Leave nothing behind.
    folder = Path(tempfile.mkdtemp(prefix="wl", dir="/var/tmp"))
    folder.chmod(0o755)
    with network(), hosts(folder):
        say(f"three hosts are up: {', '.join(f'{host} {NETWORK}.{number}' for host, number in HOSTS.items())}")
        file, study = cluster_file(folder), folder / "study.yaml"
        study.write_text(STUDY)
        ray(folder, "get-auth-token", "--generate")
        began = time.monotonic()
        ray(folder, "up", "-y", "--no-config-cache", file)
        say(f"ray up: {time.monotonic() - began:.0f} s")
        until_joined(folder)
        say("head and both workers have joined")
        text = follow(submitted(folder, study))
        if "goes to another one" not in text:
            raise RuntimeError("no trial went to another worker: the host was cut off too late")
        for secret in ("canary-trials", "canary-runs"):
            if secret in text:
                raise RuntimeError("a password stands in the launch's output")
        print(on_head(folder, "wordlength status three-hosts --home ~/.wordlength"))
        say(on_head(folder, "wordlength check three-hosts --home ~/.wordlength").strip())
        print(on_head(folder, "wordlength export three-hosts --pick knee --to ~/best --no-verify --home ~/.wordlength"))
        say("the study is complete, checked and exported")
        ray(folder, "down", "-y", file)
        say("ray down")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
