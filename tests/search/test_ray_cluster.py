"""ray_cluster.yaml, by the validation that `ray up` itself runs."""

from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = yaml.safe_load((Path(__file__).parents[2] / "ray_cluster.yaml").read_text(encoding="utf-8"))


def test_rays_own_schema_accepts_the_cluster_file() -> None:
    validate_config(prepare_config(CLUSTER | {}))


def test_the_schema_would_refuse_an_unknown_key() -> None:
    with pytest.raises(jsonschema.ValidationError, match="unexpected"):
        validate_config(prepare_config(CLUSTER | {"colour": "red"}))


def test_head_and_workers_install_this_package_with_its_pinned_versions() -> None:
    (install,) = [command for command in CLUSTER["setup_commands"] if "pip install" in command]
    assert "--constraint ~/wordlength/constraints.txt" in install
    assert '"$HOME/wordlength[demo,cluster]"' in install
    assert CLUSTER["file_mounts"]["~/wordlength"] == "."


def test_ray_lets_in_whom_the_token_lets_in_and_the_token_is_in_no_file_of_ours() -> None:
    assert CLUSTER["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    starts = [*CLUSTER["head_start_ray_commands"], *CLUSTER["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in command for command in starts if "ray start" in command)
