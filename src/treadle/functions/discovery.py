"""Finds the functions in a folder.

Looks at files and never runs them. Whatever cannot be a function is a finding that names the file and what to do; all
findings are raised together.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from treadle.functions.environment import RESERVED
from treadle.functions.spec import RUNTIMES, FunctionSpec, InvalidFunctions
from treadle.language.places import Places
from treadle.language.scope import Json
from treadle.language.yaml_text import YamlSyntaxError, decode

SETTINGS_FILE: Final = "functions.yaml"

_SUFFIXES: Final = {".py": "python", ".mjs": "nodejs", ".js": "nodejs", ".cjs": "nodejs"}
_RUNTIMES: Final = {"python": f"python{sys.version_info.major}.{sys.version_info.minor}", "nodejs": "nodejs20.x"}

# Where the code of a function that is a folder begins, by the habits of SAM, of Lambda's console and of Node.js.
_ENTRIES: Final = ("app", "index", "handler", "lambda_function")
_HANDLERS: Final = ("handler", "lambda_handler")

# Lambda 'CreateFunction', FunctionName.
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# Lambda 'Quotas'.
_LONGEST: Final = 900
_MEMORY: Final = range(128, 10241)


def discover(folder: Path) -> dict[str, FunctionSpec]:
    """The functions in a folder, by name; raises InvalidFunctions with all findings.

    A function is a file `<name>.py`, `.mjs`, `.js` or `.cjs`, or a folder `<name>` with one of those named app, index,
    handler or lambda_function. What begins with `_` or `.` and `node_modules` are left alone. `functions.yaml` may hold
    handler, timeout, memory, environment and runtime for each name.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InvalidFunctions(f"{folder} {what}. Name the folder that holds the functions.")
    return _Search(folder.resolve()).run()


@dataclass(frozen=True, slots=True)
class _Settings:
    handler: str | None = None
    timeout: float = 3.0
    memory: int = 128
    environment: dict[str, str] | None = None
    runtime: str | None = None


class _Search:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings: list[str] = []

    def run(self) -> dict[str, FunctionSpec]:
        settings = self.settings()
        sources = self.sources()
        for name in settings.keys() - sources.keys():
            self.findings.append(
                f"{SETTINGS_FILE}: there is no function '{name}': neither a file {name}.py, {name}.mjs, {name}.js or "
                f"{name}.cjs nor a folder {name}. Add it, or take '{name}' out of {SETTINGS_FILE}."
            )
        specs: dict[str, FunctionSpec] = {}
        for name, source in sorted(sources.items()):
            spec = self.spec(name, source, settings.get(name, _Settings()))
            if spec is not None:
                specs[name] = spec
        if self.findings:
            raise InvalidFunctions(*self.findings)
        return specs

    # ---- code ----

    def sources(self) -> dict[str, Path]:
        """The file or folder of each function."""
        sources: dict[str, Path] = {}
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith(("_", ".")) or path.name == "node_modules":
                continue
            if path.suffix not in _SUFFIXES and not path.is_dir():
                continue
            name = path.name if path.is_dir() else path.stem
            if not _NAME.fullmatch(name):
                self.findings.append(
                    f"{path.name}: '{name}' cannot be the name of a function. Use 1 to 64 letters, digits, - and _, or "
                    f"begin the name with _ if it is none."
                )
            elif name in sources:
                self.findings.append(
                    f"{sources[name].name} and {path.name} are both the function '{name}'. Rename one of them, or "
                    "begin its name with _ if it is no function."
                )
            else:
                sources[name] = path
        return sources

    def spec(self, name: str, source: Path, settings: _Settings) -> FunctionSpec | None:
        folder = source if source.is_dir() else source.parent
        entry = self.named_entry(name, folder, settings.handler) if settings.handler else self.entry(name, source)
        if entry is None:
            return None
        handler = settings.handler or self.handler(name, folder, entry)
        if handler is None:
            return None
        language = _SUFFIXES[entry.suffix]
        runtime = settings.runtime or _RUNTIMES[language]
        if not runtime.startswith(language):
            self.findings.append(
                f"{SETTINGS_FILE}: {name}.runtime is '{runtime}', but {entry.name} is code for {language}. "
                f"Write {_RUNTIMES[language]}, or leave it out."
            )
            return None
        spec = FunctionSpec(name, handler, folder, runtime, timeout=settings.timeout, memory_mb=settings.memory)
        return replace(spec, environment=settings.environment) if settings.environment else spec

    def entry(self, name: str, source: Path) -> Path | None:
        """The file in which a function begins."""
        if not source.is_dir():
            return source
        files = [source / (stem + suffix) for stem in _ENTRIES for suffix in _SUFFIXES]
        found = [file for file in files if file.is_file()]
        if len(found) == 1:
            return found[0]
        if found:
            names = " and ".join(file.name for file in found)
            self.findings.append(
                f"{source.name}/ has {names}, so where it begins is unclear. Name one in {SETTINGS_FILE}, as in "
                f"`{name}: {{handler: {found[0].stem}.handler}}`."
            )
        else:
            self.findings.append(
                f"{source.name}/ has no file in which a function begins: none of app, index, handler, lambda_function "
                f"as .py, .mjs, .js or .cjs. Add one, name another in {SETTINGS_FILE}, as in "
                f"`{name}: {{handler: file.function}}`, or begin the folder's name with _ if it is no function."
            )
        return None

    def named_entry(self, name: str, folder: Path, handler: str) -> Path | None:
        """The file that a handler of the settings names."""
        module, dot, function = handler.rpartition(".")
        if dot and function.isidentifier() and ".." not in handler and not handler.startswith("/"):
            # Python takes dots for folders, as in an import.
            for stem in dict.fromkeys((module, module.replace(".", "/"))):
                for suffix in _SUFFIXES:
                    for file in (folder / (stem + suffix), folder / stem / f"__init__{suffix}"):
                        if file.is_file():
                            return file
            remedy = f"there is no {module}.py, .mjs, .js or .cjs in {folder.name}/. Correct the name, or add the file."
        else:
            remedy = "it must be file.function. Write the file's name without its ending."
        self.findings.append(f"{SETTINGS_FILE}: {name}.handler is '{handler}', but {remedy}")
        return None

    def handler(self, name: str, folder: Path, entry: Path) -> str | None:
        """The handler in a file whose name says nothing about it."""
        if _SUFFIXES[entry.suffix] == "nodejs":
            return f"{entry.stem}.handler"
        place = entry.relative_to(self.folder)
        try:
            defined = set(_top_level_names(ast.parse(entry.read_bytes())))
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            self.findings.append(f"{place}{line}: this is not Python: {error}. Correct it.")
            return None
        for function in _HANDLERS:
            if function in defined:
                return f"{entry.stem}.{function}"
        self.findings.append(
            f"{place} defines neither `handler` nor `lambda_handler`. Define one, name another function in "
            f"{SETTINGS_FILE}, as in `{name}: {{handler: {entry.stem}.main}}`, or begin the name of "
            f"{'the folder' if folder != self.folder else 'the file'} with _ if it is no function."
        )
        return None

    # ---- settings ----

    def settings(self) -> dict[str, _Settings]:
        """What functions.yaml says, as far as it can be understood."""
        path = self.folder / SETTINGS_FILE
        if not path.is_file():
            return {}
        text = path.read_text(encoding="utf-8", errors="replace")
        places = Places(text)
        try:
            value = decode(text, places)
        except YamlSyntaxError as error:
            line, _ = places.line_and_column(error.offset)
            self.findings.append(f"{SETTINGS_FILE}, line {line}: {error.message}. {error.remedy}".rstrip())
            return {}
        for _, name, offset in places.repeated:
            line, _ = places.line_and_column(offset)
            self.findings.append(f"{SETTINGS_FILE}, line {line}: '{name}' is there twice. Remove one of them.")
        if value is not None and not isinstance(value, dict):
            self.findings.append(f"{SETTINGS_FILE} must hold function names, each with its settings below it.")
            return {}
        functions = cast("dict[str, Json]", value or {})
        return {name: self.settings_of(name, each) for name, each in functions.items()}

    def settings_of(self, name: str, value: Json) -> _Settings:
        if not isinstance(value, dict | None):
            self.findings.append(
                f"{SETTINGS_FILE}: {name} must have settings below it, such as `timeout: 30`, not {value!r}."
            )
            return _Settings()
        accepted: dict[str, Json] = {}
        for key, setting in cast("dict[str, Json]", value or {}).items():
            rule = _RULES.get(key)
            if rule is None:
                self.findings.append(f"{SETTINGS_FILE}: {name}.{key} is no setting. There are {', '.join(_RULES)}.")
            elif fault := rule(setting):
                self.findings.append(f"{SETTINGS_FILE}: {name}.{key} {fault}")
            else:
                accepted[key] = setting
        return _Settings(**accepted)


def _top_level_names(module: ast.Module) -> Iterator[str]:
    """What a module defines, imports or assigns outside of functions."""
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (each.asname or each.name.partition(".")[0] for each in names)
            case ast.Assign() | ast.AnnAssign():
                yield from (each.id for each in ast.walk(node) if isinstance(each, ast.Name) and _stored(each))
            case _:
                pass


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


# ---- what a setting must be; each answers with the fault, or nothing ----


def _text(value: Json) -> str:
    return "" if isinstance(value, str) and value else "must be text."


def _timeout(value: Json) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if number and 0 < value <= _LONGEST else f"must be a number of seconds, more than 0, up to {_LONGEST}."


def _memory(value: Json) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    limits = f"from {_MEMORY[0]} to {_MEMORY[-1]}"
    return "" if whole and value in _MEMORY else f"must be a whole number of megabytes {limits}."


def _environment(value: Json) -> str:
    if not isinstance(value, dict):
        return "must have variables below it, such as `STAGE: test`."
    for name, text in cast("dict[str, Json]", value).items():
        if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]+", name):
            return f"has a variable '{name}'. Names are 2 or more letters, digits and _, the first one a letter."
        if name in RESERVED:
            return f"has {name}, which Lambda itself sets. Take it out."
        if not isinstance(text, str):
            return f"has {name}, whose value {text!r} is not text. Write it in quotes."
        if "\0" in text:
            return f"has {name}, whose value has a zero byte. Take it out."
    return ""


def _runtime(value: Json) -> str:
    known = isinstance(value, str) and re.fullmatch(rf"({'|'.join(RUNTIMES)})\d+\.(\d+|x)", value)
    return "" if known else "must be a runtime of Lambda for Python or Node.js, such as python3.11 or nodejs20.x."


_RULES: Final[dict[str, Callable[[Json], str]]] = {
    "handler": _text,
    "timeout": _timeout,
    "memory": _memory,
    "environment": _environment,
    "runtime": _runtime,
}
