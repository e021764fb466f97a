"""Functions are found in a folder, and what cannot be one is said with its file and a remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from treadle.functions import FunctionSpec, InvalidFunctions, discover

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
HANDLER = "def handler(event, context): ..."
LAMBDA_HANDLER = "def lambda_handler(event, context): ..."


def lay_out(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, {}),
        ({"charge.py": HANDLER}, {"charge": ("charge.handler", ".", PYTHON)}),
        ({"charge.py": LAMBDA_HANDLER}, {"charge": ("charge.lambda_handler", ".", PYTHON)}),
        ({"charge.py": "from shop import pay as handler"}, {"charge": ("charge.handler", ".", PYTHON)}),
        ({"charge.py": "handler = make()"}, {"charge": ("charge.handler", ".", PYTHON)}),
        ({"charge.py": "handler: Handler = make()"}, {"charge": ("charge.handler", ".", PYTHON)}),
        ({"charge.py": "async def handler(event, context): ..."}, {"charge": ("charge.handler", ".", PYTHON)}),
        ({"charge.mjs": ""}, {"charge": ("charge.handler", ".", "nodejs20.x")}),
        ({"charge.js": ""}, {"charge": ("charge.handler", ".", "nodejs20.x")}),
        ({"charge.cjs": ""}, {"charge": ("charge.handler", ".", "nodejs20.x")}),
        ({"charge/app.py": LAMBDA_HANDLER}, {"charge": ("app.lambda_handler", "charge", PYTHON)}),
        (
            {"charge/lambda_function.py": LAMBDA_HANDLER},
            {"charge": ("lambda_function.lambda_handler", "charge", PYTHON)},
        ),
        ({"charge/index.mjs": ""}, {"charge": ("index.handler", "charge", "nodejs20.x")}),
        ({"charge/index.js": "", "charge/package.json": ""}, {"charge": ("index.handler", "charge", "nodejs20.x")}),
        (
            {
                "a.py": HANDLER,
                "_shared.py": "",
                ".hidden.py": "",
                "_lib/x.py": "",
                "node_modules/x.js": "",
                "note.md": "",
            },
            {"a": ("a.handler", ".", PYTHON)},
        ),
        (
            {"pay.py": "def main(e, c): ...", "functions.yaml": "pay: {handler: pay.main}"},
            {"pay": ("pay.main", ".", PYTHON)},
        ),
        (
            {"pay/src/till.py": "", "functions.yaml": "pay: {handler: src/till.run, runtime: python3.12}"},
            {"pay": ("src/till.run", "pay", "python3.12")},
        ),
        (
            {"pay/src/till.py": "", "functions.yaml": "pay: {handler: src.till.run}"},
            {"pay": ("src.till.run", "pay", PYTHON)},
        ),
        ({"pay.js": "", "functions.yaml": "pay: {runtime: nodejs22.x}"}, {"pay": ("pay.handler", ".", "nodejs22.x")}),
        ({"pay.py": HANDLER, "functions.yaml": "pay:\n"}, {"pay": ("pay.handler", ".", PYTHON)}),
        ({"pay.py": HANDLER, "functions.yaml": ""}, {"pay": ("pay.handler", ".", PYTHON)}),
    ],
)
def test_functions_are_found(files: dict[str, str], expected: dict[str, tuple[str, str, str]], tmp_path: Path) -> None:
    found = discover(lay_out(tmp_path, files))
    assert {name: (spec.handler, spec.folder, spec.runtime) for name, spec in found.items()} == {
        name: (handler, (tmp_path / folder).resolve(), runtime) for name, (handler, folder, runtime) in expected.items()
    }


def test_the_settings_of_a_function_are_those_of_the_file(tmp_path: Path) -> None:
    settings = "pay: {timeout: 1.5, memory: 512, environment: {STAGE: test, PORT: '80'}}"
    folder = lay_out(tmp_path, {"pay.py": HANDLER, "other.py": HANDLER, "functions.yaml": settings}).resolve()
    variables = {"STAGE": "test", "PORT": "80"}
    assert discover(tmp_path) == {
        "pay": FunctionSpec("pay", "pay.handler", folder, PYTHON, variables, timeout=1.5, memory_mb=512),
        "other": FunctionSpec("other", "other.handler", folder, PYTHON),
    }


def with_settings(text: str) -> dict[str, str]:
    return {"pay.py": HANDLER, "functions.yaml": text}


@pytest.mark.parametrize(
    ("files", "file", "fault", "remedy"),
    [
        ({"a b.py": HANDLER}, "a b.py", "cannot be the name of a function", "Use 1 to 64 letters"),
        ({"pay.py": HANDLER, "pay.mjs": ""}, "pay.mjs and pay.py", "both the function 'pay'", "Rename one"),
        ({"pay.py": HANDLER, "pay/app.py": HANDLER}, "pay and pay.py", "both the function 'pay'", "Rename one"),
        ({"pay.py": "x = 1"}, "pay.py", "defines neither `handler` nor `lambda_handler`", "{handler: pay.main}"),
        ({"pay/app.py": ""}, "pay/app.py", "defines neither", "begin the name of the folder with _"),
        ({"pay.py": "def handler(:"}, "pay.py, line 1", "this is not Python", "Correct it"),
        ({"pay.py": "\0"}, "pay.py", "this is not Python", "Correct it"),
        ({"pay/readme.md": ""}, "pay/", "no file in which a function begins", "Add one"),
        ({"pay/app.py": HANDLER, "pay/index.js": ""}, "pay/", "app.py and index.js", "{handler: app.handler}"),
        (with_settings("py: {}"), "functions.yaml", "there is no function 'py'", "Add it, or take 'py' out"),
        (with_settings("pay: {timeout: [}"), "functions.yaml, line 1", "", ""),
        (with_settings("pay: {}\npay: {}"), "functions.yaml, line 2", "'pay' is there twice", "Remove one"),
        (with_settings("- pay"), "functions.yaml", "must hold function names", ""),
        (with_settings("pay: 30"), "functions.yaml", "pay must have settings below it", "`timeout: 30`"),
        (with_settings("pay: {timout: 3}"), "functions.yaml", "pay.timout is no setting", "handler, timeout, memory"),
        (with_settings("pay: {timeout: 0}"), "functions.yaml", "pay.timeout must be a number of seconds", "up to 900"),
        (with_settings("pay: {timeout: 901}"), "functions.yaml", "pay.timeout must be a number", "up to 900"),
        (with_settings("pay: {timeout: true}"), "functions.yaml", "pay.timeout must be a number", ""),
        (
            with_settings("pay: {memory: 127}"),
            "functions.yaml",
            "pay.memory must be a whole number",
            "from 128 to 10240",
        ),
        (with_settings("pay: {memory: 128.0}"), "functions.yaml", "pay.memory must be a whole number", ""),
        (with_settings("pay: {handler: 3}"), "functions.yaml", "pay.handler must be text", ""),
        (with_settings("pay: {handler: main}"), "functions.yaml", "pay.handler is 'main'", "must be file.function"),
        (with_settings("pay: {handler: ../pay.main}"), "functions.yaml", "pay.handler", "must be file.function"),
        (with_settings("pay: {handler: till.main}"), "functions.yaml", "there is no till.py", "Correct the name"),
        (with_settings("pay: {runtime: ruby3.3}"), "functions.yaml", "pay.runtime must be", "python3.11 or nodejs20.x"),
        (with_settings("pay: {runtime: nodejs20.x}"), "functions.yaml", "pay.py is code for python", f"Write {PYTHON}"),
        (with_settings("pay: {environment: [A]}"), "functions.yaml", "pay.environment must have", "`STAGE: test`"),
        (with_settings("pay: {environment: {PORT: 80}}"), "functions.yaml", "value 80 is not text", "in quotes"),
        (with_settings("pay: {environment: {1A: x}}"), "functions.yaml", "a variable '1A'", "the first one a letter"),
        (
            with_settings("pay: {environment: {AWS_REGION: x}}"),
            "functions.yaml",
            "which Lambda itself sets",
            "Take it out",
        ),
        (with_settings('pay: {environment: {AB: "\\0"}}'), "functions.yaml", "a zero byte", "Take it out"),
    ],
)
def test_what_is_wrong_is_said_with_its_file_and_a_remedy(
    files: dict[str, str], file: str, fault: str, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidFunctions) as raised:
        discover(lay_out(tmp_path, files))
    [finding] = raised.value.findings
    assert finding.startswith(file)
    assert fault in finding
    assert remedy in finding


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    files = {"a.py": "", "b/c.txt": "", "ok.py": HANDLER, "functions.yaml": "ok: {timeout: -1, memory: 1}\nz: {}"}
    with pytest.raises(InvalidFunctions) as raised:
        discover(lay_out(tmp_path, files))
    assert len(raised.value.findings) == 5
    assert str(raised.value).splitlines() == list(raised.value.findings)


@pytest.mark.parametrize(("name", "fault"), [("gone", "does not exist"), ("file", "is not a folder")])
def test_a_folder_that_is_none_is_named(name: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidFunctions, match=f"{name} {fault}. Name the folder"):
        discover(tmp_path / name)


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"init_timeout": -1}, {"memory_mb": 0}, {"runtime": "ruby3.3"}])
def test_a_spec_that_cannot_run_is_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    fields = {"name": "pay", "handler": "pay.handler", "folder": tmp_path, "runtime": PYTHON}
    with pytest.raises(InvalidFunctions, match="pay: "):
        FunctionSpec(**{**fields, **wrong})
