"""A RabbitMQ broker of this project's own, from an installed `rabbitmq-server`, for the local stack and for tests.

It listens on one loopback port and nowhere else: Erlang's distribution is off and no epmd is started, so several brokers stand
side by side and nothing stays behind. Its Erlang shell reads from a pipe that we hold: that is how it is administered
(`rabbitmqctl` takes over a second a call), and when this process ends, however it ends, the shell reads the end of its input
and the broker halts (where it was still starting, once it has started).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from local.children import end_former, last_lines
from local.errors import LocalError, disk_full, explained
from local.folder import Folder
from local.ports import free_port, is_free

HOST: Final = "127.0.0.1"
NODE: Final = "chasqui@localhost"
START_SECONDS: Final = 60.0
EVALUATE_SECONDS: Final = 20.0
STOP_SECONDS: Final = 20.0
PORT_TRIES: Final = 5
NEEDED_BYTES: Final = 200_000_000
USER: Final = "guest"
"""RabbitMQ's own first user, who is let in from the loopback address only."""

# Debian puts a wrapper into the PATH that only root and rabbitmq may use; this is the program itself.
DEBIAN_PROGRAM: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

SETTINGS: Final = """\
listeners.tcp.default = {host}:{port}
vm_memory_high_watermark.absolute = 768MB
disk_free_limit.absolute = 50MB
# The write-ahead log of the quorum queues: 512 MB if it were not told.
raft.wal_max_size_bytes = 64000000
log.file = rabbit.log
log.file.level = warning
log.console = false
"""


def available() -> str | None:
    """None where a broker can be started on this machine, else the reason why not."""
    if _program() is None:
        return "rabbitmq-server is not installed"
    if shutil.which("erl") is None:
        return "erl, which runs rabbitmq-server, is not in the PATH"
    return None


class RabbitMQ:
    """Calls are synchronous; not safe from two threads at once."""

    def __init__(self, data: Path, *, port: int | None = None) -> None:
        """`port` None takes a free one at the first start and keeps it."""
        self._folder = Folder(data)
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0

    @property
    def port(self) -> int:
        if self._port is None:
            raise LocalError("RabbitMQ has no port before its first start.")
        return self._port

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def url(self) -> str:
        """The default virtual host."""
        return self.vhost_url("/")

    def vhost_url(self, vhost: str) -> str:
        """`vhost` is "/" or a name without special characters."""
        return f"amqp://{USER}:guest@{HOST}:{self.port}/{'' if vhost == '/' else vhost}"

    def start(self) -> None:
        """Return when it takes connections, in about 4 s. Started already: nothing happens. Raises `LocalError`."""
        if self.pid is not None:
            return
        if (reason := available()) is not None:
            raise LocalError(f"RabbitMQ cannot be started: {reason}; install it (Debian: apt-get install rabbitmq-server).")
        self._folder.claim()
        try:
            if shutil.disk_usage(self._folder.path).free < NEEDED_BYTES:
                raise LocalError(disk_full(self._folder.path))
            end_former(self._folder.path, "beam.smp", patience_seconds=5)
            with explained(self._folder.path):
                self._launch()
        finally:
            if self.pid is None:
                self._folder.release()

    def stop(self) -> None:
        """In order: what is confirmed and in memory only is written first. Twice is safe."""
        self._end(signal.SIGTERM)
        self._folder.release()

    def kill(self) -> None:
        """The crash of a broker, for fault tests."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """On the same port, with what was durable."""
        self.stop()
        self.start()

    def create_vhost(self, name: str) -> str:
        """A virtual host with nothing in it; returns its URL."""
        self.evaluate(f'rabbit_vhost:add(<<"{name}">>, <<"local">>)')
        rights = f'<<"{USER}">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"local">>'
        self.evaluate(f"rabbit_auth_backend_internal:set_permissions({rights})")
        return self.vhost_url(name)

    def delete_vhost(self, name: str) -> None:
        """With all that is in it; connections to it are closed."""
        self.evaluate(f'rabbit_vhost:delete(<<"{name}">>, <<"local">>)')

    def raise_alarm(self, *, on: bool) -> None:
        """Pretend that memory is short (or no longer is): the broker blocks connections that publish."""
        self.evaluate(f"rabbit_alarm:{'set' if on else 'clear'}_alarm({_alarm(on)})")

    def evaluate(self, expression: str, *, seconds: float = EVALUATE_SECONDS) -> str:
        """The value of an Erlang expression, as Erlang prints it. Raises `LocalError` when it fails or takes longer."""
        process = self._process
        if process is None or process.stdin is None or process.poll() is not None:
            raise LocalError("RabbitMQ does not run.")
        self._asked += 1
        mark = f"answer-{self._asked} "
        command = f'io:format("~n{mark}~0p~n", [(catch (fun() -> {expression} end)())]).\n'
        try:
            process.stdin.write(command.encode())
            process.stdin.flush()
        except BrokenPipeError:
            raise LocalError(f"RabbitMQ ended: {self._last_words()}") from None
        answer = self._await_answer(process, mark, seconds)
        if answer.startswith("{'EXIT'"):
            raise LocalError(f"RabbitMQ refused {expression}: {answer}")
        return answer

    def _await_answer(self, process: subprocess.Popen[bytes], mark: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            for line in self._console.read_text(errors="replace").splitlines(keepends=True):
                if line.startswith(mark) and line.endswith("\n"):
                    return line.removeprefix(mark).strip()
            if ended:
                raise LocalError(f"RabbitMQ ended: {self._last_words()}")
            time.sleep(0.01)
        raise LocalError(f"RabbitMQ did not answer within {seconds:.0f} s: {self._last_words()}")

    @property
    def _console(self) -> Path:
        return self._folder.path / "console.log"

    def _last_words(self) -> str:
        return f"{last_lines(self._console)} (all of it is in {self._folder.path})"

    def _launch(self) -> None:
        program = _program()
        assert program is not None
        for _ in range(PORT_TRIES):
            port = self._port if self._port is not None else free_port(HOST)
            if is_free(port, HOST):
                self._process = self._spawn(program, port)
                try:
                    self.evaluate("rabbit:await_startup()", seconds=START_SECONDS)
                except LocalError:
                    self._end(signal.SIGKILL)
                    if is_free(port, HOST):
                        raise
                else:
                    self._port = port
                    return
            if self._port is not None:
                raise LocalError(
                    f"Port {port} is taken: end the program that listens there, or choose another port for RabbitMQ."
                )
        raise LocalError("RabbitMQ found no free port.")

    def _spawn(self, program: Path, port: int) -> subprocess.Popen[bytes]:
        data = self._folder.path
        (data / "rabbitmq.conf").write_text(SETTINGS.format(host=HOST, port=port))
        (data / "enabled_plugins").write_text("[].\n")
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "HOME": str(data),  # Erlang's cookie
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(data / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,  # not the machine's
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(data / "log"),
            # The script becomes the broker instead of waiting for it, and the broker has a shell on its standard input.
            "RABBITMQ_ALLOW_INPUT": "1",
            # A name, which RabbitMQ demands, but no listening for other nodes. RabbitMQ asks at which port that would be, and
            # waits for an answer: any will do.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-sname {NODE} -dist_listen false -start_epmd false -erl_epmd_port 1",
        }
        with self._console.open("wb") as console:
            return subprocess.Popen(
                [program],
                env=environment,
                cwd=data,
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is this process's to answer
            )

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.send_signal(number)
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            if process.stdin is not None:
                process.stdin.close()


def _alarm(on: bool) -> str:  # noqa: FBT001
    source = "{resource_limit, memory, node()}"
    return f"{{{source}, []}}" if on else source


def _program() -> Path | None:
    if DEBIAN_PROGRAM.exists():
        return DEBIAN_PROGRAM
    found = shutil.which("rabbitmq-server", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin")))
    return Path(found) if found is not None else None
