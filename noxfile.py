# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Development tasks: ``nox`` tests and checks everything, ``nox -s demo`` shows what it does."""

from __future__ import annotations

import pathlib
import shutil
import sys

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "docs", "package", "lowest", "tracers", "beside", "applications(flower)", "tests"]
nox.options.default_venv_backend = "uv|virtualenv"
# A Python that is not on this machine is left out, on CI too.
nox.options.error_on_missing_interpreters = False
nox.options.error_on_external_run = True

PYPROJECT = nox.project.load_toml("pyproject.toml")

#: Which versions of Tornado run on each Python: the newest there is for it on each, and of every older minor the last
#: one on one of them. The oldest runs in "lowest".
TORNADOS = {
    "3.10": ["6.2", "6.5.10"],
    "3.11": ["6.1", "6.3.3", "6.6.1"],
    "3.12": ["6.4.2", "6.6.1"],
    "3.13": ["6.6.1"],
    "3.14": ["6.6.1"],
    "3.15": ["6.6.1"],
}
MATRIX = [(python, tornado) for python, tornados in TORNADOS.items() for tornado in tornados]
IDS = [f"python{python}-tornado{tornado}" for python, tornado in MATRIX]

#: What takes long, and depends little on the versions of Python and Tornado: tested once.
ONCE_ONLY = [
    "command",
    "opentelemetry/test_collector.py",
    "opentelemetry/test_ending.py",
    "opentelemetry/test_provider.py",
    "opentelemetry/test_zero_code.py",
    "project/test_examples.py",
    "project/test_typing.py",
    "viewer/in_browser",
]
ONCE = ("3.13", TORNADOS["3.13"][-1])

#: What depends on the version of Tornado, and is all that is run on those but the newest: each Python is tested whole
#: with that, or with the lowest version of everything.
OF_TORNADO = ["background", "client", "harm/test_failing_tracer.py", "hooks", "server", "spans", "websocket"]

#: What checks the types and the style of the viewer's scripts.
SCRIPT_TOOLS = ["typescript@7.0.2", "oxlint@1.94.0"]

#: What PyPy is tested with: what is active, the server's and the client's spans, WebSockets.
CORE = ["scopes", "server", "client", "websocket", "spans"]

#: OpenTracing's older tracers, none developed any more, each with what it does not ask for itself but needs.
TRACERS = {
    "jaeger": ["jaeger-client==4.8.0", "thrift==0.25.0", "six==1.17.0"],
    "basictracer": ["basictracer==3.2.0", "protobuf==7.36.2"],
    "basictracer-protobuf3": ["basictracer==3.2.0", "protobuf==3.20.3"],
    "lightstep": ["lightstep==4.4.8", "protobuf==3.20.3"],
}

#: Other instrumentations of Tornado. SkyWalking's 1.3.0 lacks a part of itself; SignalFx's is a fork of this package,
#: under its very name, and cannot stand beside it.
PEERS = {
    "sentry": ["sentry-sdk==2.75.0"],
    "elastic": ["elastic-apm==6.26.2"],
    "datadog": ["ddtrace==4.16.0"],
    "opentelemetry": ["opentelemetry-instrumentation-tornado==0.66b1", "opentelemetry-sdk==1.45.1"],
    "skywalking": ["apache-skywalking==1.2.0"],
    "newrelic": ["newrelic==14.1.0"],
    "instana": ["instana==3.20.0"],
}

#: Applications that are run traced, and what is installed for each. Streamlit's is one of its last versions on Tornado.
APPLICATIONS = {
    "flower": ["flower==2.0.1", "pytest==9.2.0", "pytest-timeout==2.4.0", "setuptools"],
    "jupyter-server": [
        *("jupyter_server[test]==2.21.1", "pytest==9.2.0", "pytest-jupyter==0.11.0", "pytest-timeout==2.4.0"),
        *("hatchling", "hatch-jupyter-builder"),
    ],
    "panel": [
        *("panel==1.9.4", "bokeh==3.9.2", "pytest==9.2.0", "pytest-asyncio==1.5.0", "pytest-timeout==2.4.0"),
        *("pytest-rerunfailures", "psutil"),
    ],
    "bokeh": [
        *("bokeh==3.6.0", "pytest==8.3.3", "pytest-asyncio==0.21.2", "pytest-timeout==2.4.0"),
        *("requests", "requests-unixsocket"),
    ],
    "distributed": [
        *("distributed==2026.7.1", "bokeh==3.9.2", "pytest==9.2.0", "pytest-timeout==2.4.0", "pytest-rerunfailures"),
        # A later cloudpickle hides which file a function comes from, which some of the tests look for.
        *("cloudpickle==3.1.1", "cryptography", "prometheus-client"),
    ],
    "streamlit": ["streamlit==1.50.0"],
}
#: Where an application's tests are, if not in its wheel as Panel's: in its source distribution, or in its repository.
SDISTS = {"flower": "flower==2.0.1", "jupyter-server": "jupyter_server==2.21.1"}
CHECKOUTS = {
    "bokeh": ("https://github.com/bokeh/bokeh", "3.6.0"),
    "distributed": ("https://github.com/dask/distributed", "2026.7.1"),
}

#: The modules that mutation testing breaks, each with the tests that notice most of what can be wrong with it.
MUTATED = {
    "scope_manager": ["scopes"],
    "_scopes/layer": ["scopes", "opentelemetry/test_untidy.py"],
    "_scopes/scope": ["scopes"],
    "_scopes/cut": ["scopes"],
    "_scopes/within": ["scopes/test_background.py", "server/test_active.py"],
    "_spans/lifecycle": [
        "server/test_outcomes.py",
        "server/test_callbacks.py",
        "client/test_callbacks.py",
        "client/test_streaming_callbacks.py",
        "harm/test_callbacks.py",
        "spans/test_redaction.py",
    ],
    "_spans/propagation": ["spans/test_headers.py", "harm/test_hostile_headers.py"],
    "_hooks/client": ["client"],
    "_spans/request": ["server", "spans/test_operation_name.py", "spans/test_routes.py"],
    "_hooks/exclusion": ["server/test_exclusion.py"],
    "_hooks/handler": ["server"],
    "_hooks/response": ["server/test_delegates.py", "server/test_disconnect.py", "spans/test_headers.py"],
    "_hooks/server": ["server", "spans/test_routes.py"],
}


def _run_tests(session: nox.Session, *chosen: str) -> None:
    """Run tests side by side; those that fail have to pass alone.

    Real servers, processes and browsers on a machine at its limit: one run of a test in some hundred thousand fails for
    what else goes on there.
    """
    # The command and not "python -m pytest", which would put the source tree before the wheel.
    try:
        session.run("pytest", "--numprocesses=auto", "--cache-clear", *chosen, *session.posargs)
    except CommandFailed:
        session.run("pytest", "--last-failed", "--last-failed-no-failures=none", *chosen, *session.posargs)


@nox.session
@nox.parametrize(("python", "tornado"), MATRIX, ids=IDS)
def tests(session: nox.Session, tornado: str) -> None:
    """Run the tests against the built wheel."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "test"), f"tornado=={tornado}", ".[opentelemetry]")
    if tornado == ONCE[1]:
        chosen = [] if session.python == ONCE[0] else [f"--ignore=tests/{path}" for path in ONCE_ONLY]
    else:
        chosen = [f"tests/{path}" for path in OF_TORNADO]
    _run_tests(session, *chosen)


@nox.session(python="3.10")
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest version of every dependency that pyproject.toml admits."""
    session.install("uv")
    # pip always takes the highest.
    session.run("uv", "pip", "install", "--resolution=lowest-direct", "--group=test", ".[opentelemetry]")
    ignored = [f"--ignore=tests/{path}" for path in ONCE_ONLY]
    _run_tests(session, *ignored)


@nox.session(python="pypy3.11")
def pypy(session: nox.Session) -> None:
    """Run the tests of the core on PyPy, where Tornado 6.5's own streams fail: it counts on CPython's freeing."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "kit"), "pytest-xdist", "wrapt", ".")
    # One process: PyPy is slow until it has seen the code often.
    session.run("pytest", *[f"tests/{path}" for path in CORE], *session.posargs)


@nox.session(python="3.11")
@nox.parametrize("tracer", list(TRACERS), ids=list(TRACERS))
def tracers(session: nox.Session, tracer: str) -> None:
    """Run the tests with a tracer that is not developed any more but in use."""
    kit = nox.project.dependency_groups(PYPROJECT, "kit")
    session.install(*kit, *TRACERS[tracer], f"tornado=={TORNADOS['3.11'][-1]}", ".")
    session.run("pytest", f"tests/tracers/test_{tracer.partition('-')[0]}.py", *session.posargs)


@nox.session(python="3.11")
@nox.parametrize("peer", list(PEERS), ids=list(PEERS))
def beside(session: nox.Session, peer: str) -> None:
    """Run the tests beside another instrumentation of Tornado, in both orders, and with each removed again."""
    kit = nox.project.dependency_groups(PYPROJECT, "kit")
    session.install(*kit, *PEERS[peer], f"tornado=={TORNADOS['3.11'][-1]}", ".")
    session.run("pytest", f"tests/beside/test_{peer}.py", *session.posargs)


@nox.session(python="3.11")
@nox.parametrize("application", list(APPLICATIONS), ids=list(APPLICATIONS))
def applications(session: nox.Session, application: str) -> None:
    """Run an application's own tests bare and traced, and compare; then start it as its recipe says."""
    session.install("pip", *APPLICATIONS[application], f"tornado=={TORNADOS['3.11'][-1]}", ".[opentelemetry]")
    if application != "streamlit":
        folder = _with_tests(session, application)
        session.run("python", "tests/applications/run.py", application, str(folder), *session.posargs)
    session.run("python", "tests/applications/recipe.py", application)


def _with_tests(session: nox.Session, application: str) -> pathlib.Path:
    """The folder in which an application's tests run."""
    folder = pathlib.Path(session.create_tmp(), application)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if application in CHECKOUTS:
        repository, tag = CHECKOUTS[application]
        clone = ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--depth=1", f"--branch={tag}"]
        session.run(*clone, repository, str(folder), external=True)
    elif application in SDISTS:
        download = ["pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", "--no-build-isolation"]
        session.run("python", "-m", *download, SDISTS[application], f"--dest={folder}")
        (archive,) = folder.glob("*.tar.gz")
        shutil.unpack_archive(archive, folder, filter="data")
        (folder,) = (found for found in folder.iterdir() if found.is_dir())
    return folder


@nox.session
def soak(session: nox.Session) -> None:
    """Run a hundred thousand requests, and thousands of random programs, against the built wheel."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "test"), ".[opentelemetry]")
    session.run("python", "tests/soak/soak.py", *session.posargs)
    session.run("pytest", "tests/random_programs", env={"RANDOM_PROGRAMS": "5000"})


@nox.session(python=ONCE[0])
def fuzz(session: nox.Session) -> None:
    """Look for input from outside that raises or leaks: some minutes; ``-- --seconds 600`` looks longer."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "fuzz"), f"tornado=={ONCE[1]}", ".")
    session.run("python", "-m", "fuzz.run", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
@nox.parametrize(("python", "tornado"), [MATRIX[0], ONCE], ids=[IDS[0], IDS[MATRIX.index(ONCE)]])
def tornado_suite(session: nox.Session, tornado: str) -> None:
    """Run Tornado's own tests bare and traced, and compare; ``-- tornado.test.web_test`` runs a part of them."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "test"), f"tornado=={tornado}", ".")
    session.run("python", "tests/tornado_suite/run.py", *session.posargs)


@nox.session(python="3.11")
def bench(session: nox.Session) -> None:
    """Compare what tracing costs with bare Tornado's and with others' cost; ``-- --measure instructions`` is quick."""
    sys.path.append("benchmarks")
    import contenders  # noqa: PLC0415 - whoever runs another session needs none of it

    session.install(*nox.project.dependency_groups(PYPROJECT, "bench"), contenders.TORNADO, "uv")
    directory = session.cache_dir / "bench"
    for name, packages in contenders.ENVIRONMENTS.items():
        environment = str(directory / name)
        session.run("uv", "venv", "--clear", "--python=3.11", environment)
        session.run("uv", "pip", "install", f"--python={environment}", contenders.TORNADO, *packages)
    session.run("python", "benchmarks/bench.py", "--environments", str(directory), *session.posargs)


@nox.session
@nox.parametrize("module", list(MUTATED), ids=list(MUTATED))
def mutation(session: nox.Session, module: str) -> None:
    """Break a module in a hundred ways, one at a time and in a copy, and show which of them no test notices."""
    copy = pathlib.Path(session.create_tmp(), "copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(".", copy, ignore=shutil.ignore_patterns(".*"))
    session.chdir(copy)
    project = PYPROJECT["project"]
    session.install(*nox.project.dependency_groups(PYPROJECT, "mutation"), *project["dependencies"])
    session.install(*project["optional-dependencies"]["opentelemetry"])
    # Not installed: what is broken is the copy's source.
    session.env["PYTHONPATH"] = str(pathlib.Path.cwd())
    config, mutants = pathlib.Path("mutation.toml"), "mutants.sqlite"
    first = " ".join(f"tests/{path}" for path in MUTATED[module])
    # Without those that take longest and see least of these modules.
    others = " ".join(f"--ignore=tests/{path}" for path in [*ONCE_ONLY, "cost/test_instruction_count.py"])
    config.write_text(pathlib.Path("tests", config).read_text().format(module=module, first=first, others=others))
    session.run("cosmic-ray", "baseline", str(config))
    session.run("cosmic-ray", "init", str(config), mutants)
    session.run("cr-filter-operators", mutants, str(config))
    session.run("cosmic-ray", "exec", str(config), mutants)
    session.run("cr-report", "--surviving-only", "--show-diff", mutants)


@nox.session
def lint(session: nox.Session) -> None:
    """Check types, style, who imports whom, and that each file says whose it is."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"), ".[opentelemetry]", "-c", "constraints.txt")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports")
    session.run("reuse", "lint", "--lines")
    # With pyright, which the tests do without.
    session.run("pytest", "tests/project/test_typing.py")
    if shutil.which("npx") is None:
        session.log("The viewer's scripts are not checked: there is no npx here.")
        return
    typescript, linter = SCRIPT_TOOLS
    session.run(
        "npx", "--yes", f"--package={typescript}", "tsc", "--project", "tests/viewer/tsconfig.json", external=True
    )
    session.run("npx", "--yes", linter, "--deny-warnings", "tornado_opentracing/viewer/static", external=True)


@nox.session(python="3.11")
def lock(session: nox.Session) -> None:
    """Make constraints.txt anew, with what it lacks; ``-- --upgrade`` takes the newest of everything."""
    session.install("uv")
    groups = [f"--group={name}" for name in ("test", "lint", "bench", "docs", "package")]
    # For every Python and system at once, and silent about where the packages come from.
    session.run(
        "uv", "pip", "compile", "pyproject.toml", *groups, "--extra=opentelemetry", "--universal",
        "--python-version=3.10", "--no-emit-index-url", "--no-annotate", "--quiet",
        "--custom-compile-command=nox -s lock", "--output-file=constraints.txt", *session.posargs,
    )  # fmt: skip


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """Build the documentation in build/docs, every warning an error; ``-- linkcheck`` asks for what is elsewhere."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "docs"), ".[opentelemetry]", "-c", "constraints.txt")
    builder = session.posargs[0] if session.posargs else "html"
    session.run(
        "sphinx-build", "--fresh-env", "--fail-on-warning", "--keep-going", "--quiet", "--builder", builder,
        "docs", "build/docs",
    )  # fmt: skip


@nox.session(python="3.11")
def package(session: nox.Session) -> None:
    """Build sdist and wheel into dist, and check them: twice the same, complete, and as an index wants them."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "package"), "--constraint", "constraints.txt")
    session.run("python", "tools/package.py")
    files = [str(path) for path in sorted(pathlib.Path("dist").iterdir())]
    session.run("twine", "check", "--strict", *files)
    session.run("check-wheel-contents", *[path for path in files if path.endswith(".whl")])
    session.run("pyroma", "--min", "10", *[path for path in files if path.endswith(".tar.gz")])


@nox.session(python="3.11")
def release(session: nox.Session) -> None:
    """Make a release, ``-- 2.0.0``: version, changelog, commit, tag, and what is to be published; nothing is sent."""
    session.run("python", "tools/release.py", *session.posargs)
    session.notify("package", posargs=())


@nox.session(venv_backend="none")
def address(session: nox.Session) -> None:
    """Have the project at another address, ``-- https://...``, wherever it stands."""
    (new,) = session.posargs
    old = PYPROJECT["project"]["urls"]["Repository"]
    for path in map(pathlib.Path, str(session.run("git", "grep", "-lI", old, external=True, silent=True)).split()):
        path.write_text(path.read_text("utf-8").replace(old, new.rstrip("/")), "utf-8")


@nox.session
def screenshot(session: nox.Session) -> None:
    """Make README's picture of the viewer anew; needs Chromium."""
    session.install("playwright", "pillow", "pytest", ".")
    session.run("python", "-m", "viewer.screenshot", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def demo(session: nox.Session) -> None:
    """Show a few traces, by the command; ``-- --serve`` keeps the services up, and shows traces in the browser."""
    session.install(".")
    session.run("python", "-m", "tornado_opentracing", "--port=0", "examples/gather.py", *session.posargs)
