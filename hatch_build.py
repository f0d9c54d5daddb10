"""Packaging: the native kernels are built into the wheel, where there is a compiler.

$CXX may be a cross-compiler. POLYDELTA_KERNELS=off leaves the kernels out, POLYDELTA_KERNELS=all
fails where one of them cannot be built. A release's bill of materials goes in where it is written.
"""

import importlib.util
import os
import platform
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SBOM = "polydelta.cdx.json"
"""What `make wheels` writes beside this file."""


class KernelsHook(BuildHookInterface[Any]):
    """Compiles the kernels; without a compiler the wheel is pure, and plain PyTorch runs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before the wheel's files are gathered."""
        del version
        if (Path(self.root) / _SBOM).is_file():
            build_data["sbom_files"].append(_SBOM)
        wanted = os.environ.get("POLYDELTA_KERNELS")
        if wanted == "off":
            return
        build = self._load()
        machine = build.build()
        names = [] if machine is None else build.variants(machine)
        # These alone: the folder may hold what was built for another machine.
        files = [build.BUILT / f"{name}.so" for name in names]
        if wanted == "all" and not (files and all(file.is_file() for file in files)):
            self.app.abort("The C++ compiler did not build all kernels.")
        if machine is None:
            self.app.display_warning("No C++ compiler built the kernels: plain PyTorch will run.")
            return
        build_data["artifacts"] += [f"/{file.relative_to(self.root)}" for file in files]
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform(machine)}"

    def _load(self) -> ModuleType:
        path = Path(self.root) / "deltas" / "kernels" / "build.py"
        spec = importlib.util.spec_from_file_location("kernels_build", path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def _platform(machine: str) -> str:
    here = sysconfig.get_platform() if machine == platform.machine() else f"linux-{machine}"
    return here.replace("-", "_").replace(".", "_")
