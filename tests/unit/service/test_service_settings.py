"""Where settings come from, which one wins, and what is said when one is wrong."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

import promedical
from promedical_service.__main__ import run
from promedical_service.command_line import load_settings
from promedical_service.settings import ConfigurationError, Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PROMEDICAL_")]:
        monkeypatch.delenv(name)


def load(*argv):
    return load_settings(argv, os.environ)


def complaint(*argv):
    with pytest.raises(ConfigurationError) as caught:
        load(*argv)
    return str(caught.value)


def test_settings_have_working_defaults():
    settings = load()
    assert (settings.host, settings.rest_port, settings.grpc_port, settings.engine) == (
        "127.0.0.1",
        8080,
        50051,
        "torch",
    )


def test_settings_precedence_is_flag_then_environment_then_yaml_then_default(tmp_path, monkeypatch):
    file = tmp_path / "promedical.yaml"
    file.write_text("rest_port: 1\ngrpc_port: 1\ndrain_s: 1\nengine: fake\n")
    monkeypatch.setenv("PROMEDICAL_GRPC_PORT", "2")
    monkeypatch.setenv("PROMEDICAL_DRAIN_S", "2")
    settings = load("--config", str(file), "--drain-s", "3")
    assert (settings.rest_port, settings.grpc_port, settings.drain_s, settings.engine) == (1, 2, 3.0, "fake")
    assert settings.bulk_share == 0.25


def test_settings_file_may_be_named_in_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "promedical.yaml"
    file.write_text("overload_status: 429\n")
    monkeypatch.setenv("PROMEDICAL_CONFIG", str(file))
    assert load().overload_status == 429
    assert load("--overload-status", "503").overload_status == 503


def test_settings_an_empty_variable_counts_as_absent(monkeypatch):
    monkeypatch.setenv("PROMEDICAL_HEALTH_PORT", "")
    assert load().health_port is None


def test_settings_are_frozen_and_every_one_is_documented():
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.rest_port = 1
    for name, field in Settings.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--rest-port", "seven"), "--rest-port: Input should be a valid integer"),
        (("--rest-port", "70000"), "--rest-port: Input should be less than or equal to 65535, not '70000'"),
        (("--engine", "tpu"), "--engine: Input should be 'torch', 'vllm' or 'fake', not 'tpu'"),
        (("--bulk-share", "nan"), "--bulk-share: "),
        (("--nonsense", "1"), "unrecognized arguments: --nonsense 1"),
        (("--rest", "1"), "unrecognized arguments: --rest 1"),
        (("--config", "/nowhere.yaml"), "config: there is no file /nowhere.yaml"),
        (("--tls-cert-file", "x"), "tls_cert_file and tls_key_file belong together; set both or neither"),
    ],
)
def test_settings_a_wrong_flag_is_named(argv, said):
    assert complaint(*argv).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rest_prot: 1", "rest_prot: no setting has this name"),
        ("rest_port: x", "rest_port (config file): Input should be a valid integer"),
        ("a: [", "config: "),
    ],
)
def test_settings_a_wrong_yaml_key_is_named(tmp_path, text, said):
    file = tmp_path / "promedical.yaml"
    file.write_text(text)
    assert complaint("--config", str(file)).startswith(said)


@pytest.mark.parametrize("text", ["- a\n- b", "- [host, here]", "5", "host"])
def test_settings_a_yaml_file_must_be_a_mapping(tmp_path, text):
    file = tmp_path / "promedical.yaml"
    file.write_text(text)
    assert complaint("--config", str(file)) == (
        f"config: {file} is not a YAML file of settings: expected a mapping of settings"
    )


def test_settings_a_yaml_key_that_stands_twice_is_named_with_its_line(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("rest_port: 1\nkeys_file: strict\nrest_port: 2\n")
    with pytest.raises(ConfigurationError, match="rest_port stands twice, the second time in line 3"):
        load_settings(["--config", str(file)], {})


def test_settings_a_yaml_file_may_be_empty(tmp_path):
    file = tmp_path / "promedical.yaml"
    file.write_text("# nothing yet\n")
    assert load("--config", str(file)).rest_port == 8080


def test_settings_a_wrong_variable_is_named(monkeypatch):
    monkeypatch.setenv("PROMEDICAL_DRAIN_S", "-1")
    assert complaint().startswith("PROMEDICAL_DRAIN_S: Input should be greater than or equal to 0")
    monkeypatch.delenv("PROMEDICAL_DRAIN_S")
    monkeypatch.setenv("PROMEDICAL_DRAINS", "1")
    assert complaint() == "PROMEDICAL_DRAINS: no setting has this name; see --help"


def test_settings_ignore_what_kubernetes_and_the_sdk_put_into_the_environment(monkeypatch):
    for name, value in {
        "PROMEDICAL_PORT": "tcp://10.0.0.1:8080",
        "PROMEDICAL_SERVICE_HOST": "10.0.0.1",
        "PROMEDICAL_SERVICE_PORT_GRPC": "50051",
        "PROMEDICAL_HEADLESS_PORT_8080_TCP_ADDR": "10.0.0.1",
        "PROMEDICAL_API_KEY": "secret",
        "PROMEDICAL_CACHE": "/cache",
        "PROMEDICAL_BAKED": "/opt/models",
    }.items():
        monkeypatch.setenv(name, value)
    load()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--shadow-file=s",), "shadow_file needs shadow_url"),
        (("--shadow-ca-file=ca",), "shadow_ca_file needs shadow_url"),
        (("--shadow-url=grpcs://a:1", "--shadow-cert-file=c"), "belong together"),
        (("--shadow-url=grpc://a:1", "--shadow-file=a", "--audit-file=a"), "name two files"),
        (("--shadow-url=grpc://a:1", "--shadow-file=-", "--audit-file=-"), "name two files"),
        (("--shadow-url=http://a:1",), "--shadow-url: "),
        (("--shadow-url=candidate:50051",), "--shadow-url: "),
        (("--shadow-share=1.5",), "--shadow-share: "),
        (("--shadow-timeout-s=0",), "--shadow-timeout-s: "),
        (("--shadow-queue-mb=0",), "--shadow-queue-mb: "),
    ],
    ids=lambda value: "-".join(value).replace("/", "") if isinstance(value, tuple) else "",
)
def test_settings_of_a_shadow_that_make_no_sense_are_refused(flags, said):
    assert said in complaint(*flags)


def test_settings_of_a_shadow_may_share_the_secret_of_the_audit():
    load("--shadow-url=grpc://a:1", "--shadow-file=s", "--audit-salt-file=salt")
    assert complaint("--audit-salt-file=salt") == "audit_salt_file needs audit_file or shadow_file"


def test_settings_every_error_is_one_line():
    lines = complaint("--rest-port", "x", "--grpc-port", "y", "--engine", "z").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["--rest-port", "--grpc-port", "--engine"]


def test_main_answers_2_to_a_wrong_configuration(capsys):
    assert run(["--rest-port", "x"], {}) == 2
    error = capsys.readouterr().err
    assert error.startswith("promedical-serve: --rest-port: ")
    assert error.count("\n") == 1


def test_main_answers_the_exit_code_of_the_service():
    async def serve(settings):
        return settings.rest_port

    before = logging.getLogger().handlers
    assert run(["--rest-port", "7"], {}, serve) == 7
    logging.getLogger().handlers = before
    structlog.reset_defaults()


def test_main_version_and_help_need_no_heavy_import():
    check = (
        "import sys; from promedical_service.command_line import load_settings\n"
        "try: load_settings(sys.argv[1:], {})\n"
        "finally: assert not {'torch', 'grpc', 'fastapi'} & sys.modules.keys()"
    )
    told = subprocess.run([sys.executable, "-c", check, "--version"], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == f"promedical {promedical.__version__}"
    told = subprocess.run([sys.executable, "-c", check, "--help"], check=True, capture_output=True, text=True)
    assert "--max-queue-tokens" in told.stdout


def test_settings_paths_are_paths():
    assert load("--rubric-dir", "rubrics").rubric_dir == Path("rubrics")


def test_settings_names_and_defaults_are_a_frozen_surface(snapshot):
    lines = [f"{name} = {field.default}" for name, field in sorted(Settings.model_fields.items())]
    snapshot("service_settings.txt", "\n".join(lines) + "\n")
