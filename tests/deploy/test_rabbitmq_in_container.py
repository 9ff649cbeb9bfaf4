"""RabbitMQ as a container: a script stands in for its server."""

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "rabbitmq-in-container"


def test_container_has_the_port_the_data_and_the_signal_of_the_server(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.write_text('#!/bin/sh\nprintf "%s\\n" "$$" "$@"\n')
    engine.chmod(0o755)
    configuration = tmp_path / "rabbitmq.conf"
    configuration.write_text("listeners.tcp.1 = 127.0.0.1:40123\nmqtt.listeners.tcp.1 = 127.0.0.1:40124\n")
    environment = os.environ | {
        "FLEXMESH_CONTAINER_ENGINE": str(engine),
        "RABBITMQ_CONFIG_FILE": str(configuration),
        "RABBITMQ_PID_FILE": str(tmp_path / "pid"),
        "RABBITMQ_MNESIA_BASE": "/data/here",
        "RABBITMQ_NODENAME": "test@localhost",
        "RABBITMQ_ENABLED_PLUGINS_FILE": "/plugins/here",
    }
    run = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=True)
    pid, *arguments = run.stdout.splitlines()
    assert (tmp_path / "pid").read_text().strip() == pid  # the engine's client passes the signal on
    assert arguments[:2] == ["run", "--rm"]
    assert "127.0.0.1:40123:5672" in arguments
    assert "127.0.0.1:40124:1883" in arguments
    assert "/data/here:/var/lib/rabbitmq" in arguments
    assert "/plugins/here:/etc/rabbitmq/enabled_plugins:ro" in arguments
    assert "RABBITMQ_NODENAME=test@localhost" in arguments
