"""The same home as an Ansible playbook, for comparison: it writes the same bytes, and lets dnsmasq check them.

ansible-core comes from the package index, into the XDG cache folder.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench import TOP, Bench

_VERSION = "ansible-core==2.19.14"
_CHECKED = ("dnsmasq/dnsmasq.conf", "dnsmasq/groups/kids.conf", "dnsmasq/servers", "dnsmasq/groups/kids.servers")


@dataclass(frozen=True)
class Playbook:
    """A bench's home as a playbook in a git repository, and where it writes."""

    repository: Path
    checkout: Path
    output: Path
    environment: dict[str, str]

    @property
    def pull(self) -> list[str]:
        """The command that pulls and plays it."""
        where = ["-U", f"file://{self.repository}", "-C", "main", "-d", str(self.checkout)]
        given = ["-e", f"ansible_python_interpreter={program('python')}"]  # in its favour: it need not look for one
        return [str(program("ansible-pull")), "-i", "localhost,", "-c", "local", *given, *where, "home.yml"]


def program(name: str) -> Path:
    """Return one of Ansible's programs, installed first if need be."""
    environment = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hearth" / _VERSION
    if not (environment / "bin" / name).exists():
        found = subprocess.run([str(TOP / "script/uv-path")], check=True, capture_output=True, text=True)
        uv = found.stdout.strip()
        python = ("--quiet", "--python")
        subprocess.run([uv, "venv", "--clear", *python, str(TOP / ".venv/bin/python"), str(environment)], check=True)
        into = (*python, str(environment / "bin/python"), "--compile-bytecode")
        subprocess.run([uv, "pip", "install", *into, _VERSION], check=True)
    return environment / "bin" / name


def playbook(bench: Bench) -> Playbook:
    """Write the home of `bench` as a playbook, play it once, and see that it wrote what Hearth did."""
    folder = bench.folder / "ansible"
    made = Playbook(folder / "repository", folder / "checkout", folder / "output", _environment(bench))
    (made.repository / "templates").mkdir(parents=True)
    state = bench.paths.state / "current"
    paths = sorted(
        str(path.relative_to(state)) for path in state.rglob("*") if path.is_file() and path.suffix != ".json"
    )
    values: dict[str, object] = {"port": bench.port, "upstream_port": bench.upstream_port, "output": str(made.output)}
    for path in paths:
        text, lists = _template(path, (state / path).read_text(), bench)
        (made.repository / "templates" / f"{_name(path)}.j2").write_text(text)
        values |= lists
    (made.repository / "home.yml").write_text(json.dumps(_play(paths, values), indent=1))  # JSON is YAML
    _commit(made.repository, bench)
    done = subprocess.run(made.pull, check=False, env=made.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in paths:
        assert (made.output / path).read_text() == (state / path).read_text(), path
    return made


def _environment(bench: Bench) -> dict[str, str]:
    own = {
        "ANSIBLE_HOME": str(bench.folder / "ansible/home"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "LC_ALL": "C.UTF-8",
    }
    return bench.environment | own | {"PATH": f"{program('ansible').parent}:{bench.environment['PATH']}"}


def _name(path: str) -> str:
    return path.replace("/", "_").replace(".", "_")


def _template(path: str, text: str, bench: Bench) -> tuple[str, dict[str, object]]:
    """Return a template that gives `text`, and its list of values: hosts and blocked names in a loop, the rest with variables."""
    if path.endswith(("servers", "hosts")):
        head, *lines = text.splitlines()
        name = _name(path)
        return f"{head}\n{{% for line in {name} %}}\n{{{{ line }}}}\n{{% endfor %}}\n", {name: lines}
    for value, name in ((str(bench.upstream_port), "upstream_port"), (str(bench.port), "port")):
        text = text.replace(value, f"{{{{ {name} }}}}")
    return text, {}


def _play(paths: list[str], values: dict[str, object]) -> list[dict[str, object]]:
    folders = sorted({str(Path(path).parent) for path in paths})
    tasks: list[dict[str, object]] = [
        {
            "name": "The folders",
            "ansible.builtin.file": {"path": "{{ output }}/{{ item }}", "state": "directory", "mode": "0755"},
            "loop": folders,
        }
    ]
    for path in paths:
        check = {"validate": "dnsmasq --test --conf-file=%s"} if path in _CHECKED else {}
        what = {"src": f"{_name(path)}.j2", "dest": f"{{{{ output }}}}/{path}", "mode": "0644"} | check
        tasks.append({"name": path, "ansible.builtin.template": what})
    return [{"name": "The home", "hosts": "localhost", "gather_facts": False, "vars": values, "tasks": tasks}]


def _commit(repository: Path, bench: Bench) -> None:
    bench.run("git", "init", "--quiet", "--initial-branch=main", repository)
    bench.run("git", "add", "--all", cwd=repository)
    person = ("-c", "user.name=Anna", "-c", "user.email=anna@holm.example", "-c", "commit.gpgsign=false")
    bench.run("git", *person, "commit", "--quiet", "--message", "The home", cwd=repository)
