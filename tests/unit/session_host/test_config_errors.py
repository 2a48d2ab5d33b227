"""Everything that a configuration can get wrong is told by file, line and key, in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outlast.core.errors import StartRefused
from outlastd.session_host.config_file import load_config

AGENT = "[agents.a]\nfile = 'agent.py'\n"
KEY = AGENT + "[[auth.keys]]\nname = 'k'\naccess_key = 'AK'\n"
JWT = AGENT + "[auth.jwt]\nissuer = 'i'\naudience = 'a'\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with some files, from where the configuration is read."""
    for name, content in {"agent.py": "", "list.json": "[1]", "text.json": "{", "empty": "\n", "secret": "s"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "large.json").write_text("{}" + " " * 1_048_576)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SET", "secret")
    monkeypatch.delenv("UNSET", raising=False)
    return tmp_path


def refusal(text: str) -> str:
    """Return why a configuration is refused, without the names of folders."""
    Path("outlast.toml").write_text(text, "utf-8")
    with pytest.raises(StartRefused) as refused:
        load_config(Path("outlast.toml"))
    assert "\n" not in refused.value.message
    return refused.value.message.replace(f"{os.getcwd()}/", "")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        # agents
        ("", "1: agents: it is missing: an agent is a table [agents.NAME] with a file or a command"),
        ("\nagents = 1\n", "2: agents: it should be a table, not 1"),
        ("[agents]\na = 'agent.py'\n", "2: agents.a: it should be a table, not 'agent.py'"),
        ("[agents]\n", "1: agents: it is empty"),
        (
            "['agents'.'1 a']\nfile = 'agent.py'\n",
            "1: agents.\"1 a\": '1 a' is no agent name: a letter, then up to 99 letters, digits, - and _",
        ),
        ("\n[agents.a]\n", "2: agents.a: give it either a file or a command"),
        ("[agents.a]\ncommand = []\n", "1: agents.a: give it either a file or a command"),
        (AGENT + "command = ['sh']\n", "1: agents.a: give it either a file or a command"),
        (
            "[agents.a]\ncommand = ['sh']\nruntime = 'original'\n",
            "1: agents.a: python and runtime say how a file is run; a command says it itself",
        ),
        ("[agents.a]\nfile = 'no.py'\n", "2: agents.a.file: no.py cannot be read (No such file or directory)"),
        ("[agents.a]\nfile = '.'\n", "2: agents.a.file: FOLDER is not a file"),
        ("[agents.a]\nfile = 3\n", "2: agents.a.file: it should be a path, not 3"),
        (
            "[agents.a]\nfile = '~nobody-at-all/a.py'\n",
            "2: agents.a.file: ~nobody-at-all/a.py begins with the home folder of nobody",
        ),
        (AGENT + "python = 'no/python'\n", "3: agents.a.python: no/python cannot be read (No such file or directory)"),
        (AGENT + "python = './agent.py'\n", "3: agents.a.python: agent.py cannot be run"),
        (AGENT + "directory = 'agent.py'\n", "3: agents.a.directory: agent.py is not a folder"),
        (AGENT + "runtime = 'mine'\n", "3: agents.a.runtime: it should be 'outlast' or 'original', not 'mine'"),
        (
            "[agents.a]\ncommand = ['no-such-program']\n",
            "2: agents.a.command: there is no program no-such-program on the PATH",
        ),
        (
            "[agents.a]\ncommand = ['sh',\n '{prt}']\n",
            "2: agents.a.command: {prt} stands for nothing; {port} and {socket} do",
        ),
        (
            "[agents.a]\ncommand = ['sh', '-c', 'serve ${port}']\n",
            "2: agents.a.command: write {port}: ${port} would be a variable of a shell's",
        ),
        (
            "[agents.a]\ncommand = ['sh', '{socket}', '{port}']\n",
            "2: agents.a.command: an agent listens either on {port} or at {socket}",
        ),
        ("[agents.a]\ncommand = [\n 'sh',\n 5\n]\n", "4: agents.a.command[1]: it should be a valid string, not 5"),
        ("[agents.a]\ncommand = 'sh'\n", "2: agents.a.command: it should be an array, not 'sh'"),
        (
            "[agents.a]\ncommand = ['sh', \"\\u0000\"]\n",
            "2: agents.a.command[1]: it holds U+0000, which no process can be given",
        ),
        (
            AGENT + "\nidle_timeout = '15 minutes'\n",
            "4: agents.a.idle_timeout: '15 minutes' is no duration; write seconds, or a number with s, m, h or d, "
            "such as 15s or 7d",
        ),
        (AGENT + "idle_timeout = true\n", "3: agents.a.idle_timeout: it should be a number, not true"),
        (AGENT + "idle_timeout = 0\n", "3: agents.a.idle_timeout: it should be greater than 0, not 0"),
        (
            AGENT + "max_lifetime = '1h'\nidle_timeout = '2h'\n",
            "4: agents.a.idle_timeout: idle_timeout must be less than or equal to max_lifetime",
        ),
        (AGENT + "stop_grace = -1\n", "3: agents.a.stop_grace: it should be greater than or equal to 0, not -1"),
        (
            AGENT + "max_memory = '5XB'\n",
            "3: agents.a.max_memory: '5XB' is no size; write bytes, or a number with KB, MB, GB, KiB, MiB or GiB",
        ),
        (AGENT + "max_sessions = '5'\n", "3: agents.a.max_sessions: it should be a number, not '5'"),
        (AGENT + "max_processes = true\n", "3: agents.a.max_processes: it should be a number, not true"),
        (AGENT + "commands = 'yes'\n", "3: agents.a.commands: write true or false, not 'yes'"),
        (
            AGENT + "[agents.a.environment]\nX = '1'\n'A B' = '2'\n",
            "5: agents.a.environment.\"A B\": 'A B' is no name of a variable",
        ),
        (AGENT + "environment = { X = 5 }\n", "3: agents.a.environment.X: it should be a valid string"),
        (
            AGENT + "environment.OUTLAST_WORKER_TOKEN = 'x'\n",
            "3: agents.a.environment.OUTLAST_WORKER_TOKEN: "
            "the host itself says what OUTLAST_WORKER_TOKEN is in the processes of a session",
        ),
        (
            AGENT + "pass_environment = [\n'HOME',\n'PORT']\n",
            "5: agents.a.pass_environment[1]: the host itself says what PORT is in the processes of a session",
        ),
        (AGENT + "forward_headers = ['A B']\n", "3: agents.a.forward_headers[0]: 'A B' is no name of a header"),
        (
            AGENT + "forward_headers = ['Transfer-Encoding']\n",
            "3: agents.a.forward_headers[0]: Transfer-Encoding is a header that never reaches an agent",
        ),
        (
            AGENT + "forward_headers = ['x-outlast-secret']\n",
            "3: agents.a.forward_headers[0]: x-outlast-secret is a header that never reaches an agent",
        ),
        (AGENT + "forward_headers = ['X-A', 'x-a']\n", "3: agents.a.forward_headers: x-a is there twice"),
        (
            AGENT + f"forward_headers = {[f'X-{number}' for number in range(21)]}\n",
            "3: agents.a.forward_headers: these are 21 headers, over the limit of 20",
        ),
        (AGENT + "agent_card = 'list.json'\n", "3: agents.a.agent_card: list.json is no JSON object"),
        (AGENT + "agent_card = 'large.json'\n", "3: agents.a.agent_card: large.json is over 1,048,576 bytes"),
        (
            "[agents.a]\nfile = 'agent.py'\n[agents.a-1234567890]\nfile = 'agent.py'\n",
            "3: agents.a-1234567890: AWS adds 10 characters to a name: this would be 'a' as well",
        ),
        # the host itself
        ("listen = '8080'\n" + AGENT, "1: listen: '8080' is no address: write HOST:PORT, such as 127.0.0.1:50051"),
        (
            "# everywhere\nlisten = '0.0.0.0:8080'\n" + AGENT,
            "2: listen: nobody but this machine is served without credentials, and others can reach 0.0.0.0:8080: "
            "set OUTLAST_TOKEN, configure [[auth.keys]] or [auth.jwt], or listen on 127.0.0.1",
        ),
        (
            "users = '0-5'\n" + AGENT,
            "1: users: '0-5' names no users; write auto, off, or the first and the last, such as 61184-65519",
        ),
        (
            "users = '9-5'\n" + AGENT,
            "1: users: '9-5' names no users; write auto, off, or the first and the last, such as 61184-65519",
        ),
        ("name = ''\n" + AGENT, "1: name: it is empty"),
        ("max_starting = 0\n" + AGENT, "1: max_starting: it should be greater than 0, not 0"),
        # unknown keys
        ("strct = true\n" + AGENT, "1: strct: there is no such key; did you mean strict?"),
        (AGENT + "idle-timeout = 5\n", "3: agents.a.idle-timeout: there is no such key; did you mean idle_timeout?"),
        (AGENT + "zzz = 5\n", "3: agents.a.zzz: there is no such key"),
        (
            AGENT + "strict = true\n",
            "3: agents.a.strict: there is no such key here; it stands at the top of the file, before the first [table]",
        ),
        ("file = 'a.py'\n" + AGENT, "1: file: there is no such key here; it stands below [agents.NAME]"),
        (AGENT + "[auth]\nissuer = 'i'\n", "4: auth.issuer: there is no such key here; it stands below [auth.jwt]"),
        # keys
        (KEY, "3: auth.keys[0]: name its secret by either secret_variable or secret_file"),
        (
            KEY + "secret_variable = 'SET'\nsecret_file = 'secret'\n",
            "3: auth.keys[0]: name its secret by either secret_variable or secret_file",
        ),
        (KEY + "secret_variable = 'UNSET'\n", "6: auth.keys[0].secret_variable: the variable that it names is not set"),
        (KEY + "secret_variable = 's3/+'\n", "6: auth.keys[0].secret_variable: it is no name of a variable"),
        (KEY + "secret_file = 'empty'\n", "6: auth.keys[0].secret_file: empty is empty"),
        (
            KEY + "secret_key = 's3cret'\n",
            "6: auth.keys[0].secret_key: there is no such key; did you mean secret_file?",
        ),
        (AGENT + "[[auth.keys]]\naccess_key = 'AK'\nsecret_file = 'secret'\n", "3: auth.keys[0].name: it is missing"),
        (
            AGENT + "[[auth.keys]]\nname = 'k'\naccess_key = 'A/K'\nsecret_file = 'secret'\n",
            "5: auth.keys[0].access_key: it is no access key: up to 128 letters, digits and _",
        ),
        (KEY + "secret_file = 'secret'\nagents = ['b']\n", "7: auth.keys[0].agents[0]: there is no agent 'b'"),
        (
            KEY + "secret_file = 'secret'\nsession_prefix = '-x'\n",
            "7: auth.keys[0].session_prefix: no session id begins with '-x': "
            "a letter or digit, then letters, digits, - and _",
        ),
        (
            KEY + "secret_file = 'secret'\n[[auth.keys]]\nname = 'k'\naccess_key = 'AL'\nsecret_file = 'secret'\n",
            "8: auth.keys[1].name: 'k' is another key's already",
        ),
        (
            KEY.replace("'agent.py'", "'agent.py'\npass_environment = ['SET']") + "secret_variable = 'SET'\n",
            "3: agents.a.pass_environment[0]: SET holds the secret of a key",
        ),
        # tokens
        (JWT, "3: auth.jwt.jwks_url: it is missing"),
        (
            JWT + "jwks_url = 'http://id.example.com/keys'\n",
            "6: auth.jwt.jwks_url: 'http://id.example.com/keys' is no https URL: "
            "keys that come another way could be anybody's",
        ),
        (
            JWT + "jwks_url = 'https://i/k'\nalgorithms = ['HS256']\n",
            "7: auth.jwt.algorithms[0]: 'HS256' is none of "
            "ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512",
        ),
        (
            JWT + "jwks_url = 'https://i/k'\nalgorithms = []\n",
            "7: auth.jwt.algorithms: it is empty",
        ),
        (
            JWT + "jwks_url = 'https://i/k'\noperator_claim = 'role'\n",
            "3: auth.jwt: operator_claim and operator_value go together",
        ),
        (
            JWT + "jwks_url = 'https://i/k'\njwks_ca = 'no.pem'\n",
            "7: auth.jwt.jwks_ca: no.pem cannot be read (No such file or directory)",
        ),
    ],
)
def test_an_error_names_its_line(text: str, message: str) -> None:
    """Cause and cure, and where to look."""
    assert refusal(text).replace(os.getcwd(), "FOLDER") == f"outlast.toml:{message}"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("x = \n", "1: Invalid value (column "),
        (AGENT + "[agents.a]\n", "3: Cannot declare ('agents', 'a') twice (column "),
        (AGENT + "x = [\n1,\n2\n", "3: what begins here cannot be read: "),
        (AGENT + 'x = """\n[b]\n', "3: what begins here cannot be read: "),
        (AGENT + f"\nx = {'9' * 5_000}\n", "4: what begins here cannot be read: "),
        (AGENT + f"x = {'[' * 100_000}\n", "3: what begins here cannot be read: "),
    ],
)
def test_what_is_no_toml_names_its_line(text: str, beginning: str) -> None:
    """That of the fault, or where the thing begins that has no end; what it is, Python says in its own words."""
    assert refusal(text).startswith(f"outlast.toml:{beginning}")


@pytest.mark.usefixtures("folder")
def test_all_errors_are_told_at_once() -> None:
    """In the order of their lines, in one line."""
    told = refusal("strct = true\n[agents.a]\nstop_grace = 'x'\nfile = 'no.py'\n[agents.b]\n")

    assert [one.split(": ")[0] for one in told.split("; outlast.toml:")] == ["outlast.toml:1", "3", "4", "5"]


@pytest.mark.usefixtures("folder")
def test_what_may_be_a_secret_is_not_told() -> None:
    """Whoever puts one in the wrong place does not find it in the log."""
    told = refusal(
        AGENT
        + "environment = { TOKEN = ['s3cret'] }\n"
        + "[[auth.keys]]\nname = 'k'\naccess_key = 's3/cret'\nsecret_variable = 's3cret'\n"
        + "[[auth.keys]]\nname = 'l'\naccess_key = 'AL'\nsecret = 's3cret'\n"
        + "[[auth.keys]]\nname = 'm'\naccess_key = 'AM'\nsecret_variable = 5318008\n"
    )

    assert told.count("outlast.toml:") == 5
    assert "cret'" not in told
    assert "5318008" not in told


@pytest.mark.usefixtures("folder")
def test_a_long_value_is_cut() -> None:
    """One line stays one line."""
    assert len(refusal(f"strict = '{'x' * 5_000}'\n" + AGENT)) < 200


@pytest.mark.skipif(os.geteuid() == 0, reason="root may have users of its own for sessions")
@pytest.mark.usefixtures("folder")
def test_only_root_may_name_users() -> None:
    """Asking for isolation that cannot be had is an error, not a warning."""
    assert "1: users: only a host that runs as root" in refusal("users = '61184-61200'\n" + AGENT)
