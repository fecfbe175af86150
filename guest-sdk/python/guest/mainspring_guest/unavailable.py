"""What a workflow cannot do, and how it is told.

A workflow module often imports what only its activities use: an HTTP client, a database driver, Temporal's own client
and worker. Those need only be there by name. So a module of a third party that cannot be imported under
`workflow.unsafe.imports_passed_through()`, and whatever is missing of `temporalio`, becomes an `Absent`: it can be
imported, subclassed, used as a type or a decorator, and refuses to do anything once a workflow runs.
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from temporalio.exceptions import TemporalError

# Set when the module has been built: from then on everything that runs is a workflow.
_running = False
# Where the author's own modules are.
_project_roots: list[str] = []


class NotAvailableError(TemporalError):
    """A workflow tried what only an activity can do. It fails the workflow task: the code has to change."""


def not_available(what: str, instead: str = "do it in an activity") -> NoReturn:
    raise NotAvailableError(f"{what} is not available in a workflow; {instead}")


class AbsentBase:
    """In the place of a base class that is not here."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        if _running:
            not_available(f"{type(self).__name__}, whose base class the sandbox does not have,")


class Absent:
    """Something that is only here by name."""

    def __init__(self, name: str) -> None:
        self.__dict__["_absent_name"] = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._absent_name}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _running:
            not_available(self._absent_name)
        if len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], Absent):
            return args[0]  # as a decorator
        return Absent(f"{self._absent_name}(…)")

    def __mro_entries__(self, _bases: tuple) -> tuple[type, ...]:
        return (AbsentBase,)

    def __getitem__(self, _item: Any) -> Absent:
        return self

    def __or__(self, _other: Any) -> Any:
        return self

    __ror__ = __or__

    def __repr__(self) -> str:
        return f"<{self._absent_name}, not available in a workflow>"


class AbsentModule(ModuleType):
    """A module that is only here by name."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")


class _AbsentLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None: ...


class _AbsentFinder(importlib.abc.MetaPathFinder):
    """Comes last: finds what nobody else has found, where it need not be there."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if fullname.startswith("temporalio.") or isinstance(parent, AbsentModule):
            return importlib.machinery.ModuleSpec(fullname, _AbsentLoader(), is_package=True)
        return None


def install_finder(project_roots: list[str]) -> None:
    _project_roots.extend(project_roots)
    sys.meta_path.append(_AbsentFinder())


def is_of_the_project(file: str | None) -> bool:
    return bool(file) and any(Path(file).is_relative_to(root) for root in _project_roots)


class PassedThrough:
    """While this is entered, a module of somebody else's that the project imports and that cannot be, is absent."""

    def __enter__(self) -> None:
        self._import = builtins.__import__
        builtins.__import__ = self._import_or_absent

    def __exit__(self, *_: object) -> None:
        builtins.__import__ = self._import

    def _import_or_absent(self, name, globals=None, locals=None, fromlist=(), level=0):
        try:
            return self._import(name, globals, locals, fromlist, level)
        except Exception:
            by_the_project = is_of_the_project((globals or {}).get("__file__"))
            if level or not by_the_project or self._is_part_of_the_project(name):
                raise
        root = name.partition(".")[0]
        for module in [module for module in sys.modules if module.partition(".")[0] == root]:
            del sys.modules[module]
        sys.modules[root] = AbsentModule(root)
        return self._import(name, globals, locals, fromlist, level)

    @staticmethod
    def _is_part_of_the_project(name: str) -> bool:
        try:
            spec = importlib.machinery.PathFinder.find_spec(name.partition(".")[0], sys.path)
        except Exception:
            return False
        if spec is None:
            return False
        locations = list(spec.submodule_search_locations or []) or [spec.origin]
        return any(is_of_the_project(location) for location in locations)


def _refusing(name: str, instead: str = "do it in an activity") -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        not_available(name, instead)

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


def shut() -> None:
    """From now on a workflow runs: what it cannot do says so, instead of failing in some way of the machine's."""
    global _running
    _running = True
    import os
    import time

    builtins.open = io.open = _refusing("open (a file)")
    for name in ("system", "popen", "listdir", "scandir", "mkdir", "makedirs", "remove", "rename", "rmdir", "walk"):
        if hasattr(os, name):
            setattr(os, name, _refusing(f"os.{name}"))
    time.sleep = _refusing("time.sleep", "use `await workflow.sleep(…)` or `await asyncio.sleep(…)`")
    for module, names in _REFUSED_CONSTRUCTORS.items():
        if module in sys.modules:
            for name in names:
                constructor = getattr(sys.modules[module], name, None)
                if isinstance(constructor, type):
                    constructor.__init__ = _refusing(f"{module}.{name}")
    if "threading" in sys.modules:
        sys.modules["threading"].Thread.start = _refusing("threading.Thread", "use asyncio, or do it in an activity")
    if "socket" in sys.modules:
        for name in ("create_connection", "getaddrinfo", "gethostbyname", "create_server", "socketpair"):
            setattr(sys.modules["socket"], name, _refusing(f"socket.{name}"))


_REFUSED_CONSTRUCTORS = {
    "socket": ("socket",),
    "subprocess": ("Popen",),
    "multiprocessing.process": ("BaseProcess",),
    "concurrent.futures.thread": ("ThreadPoolExecutor",),
    "concurrent.futures.process": ("ProcessPoolExecutor",),
}
