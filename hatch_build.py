"""Packaging: the native kernels are built into the wheel, where there is a compiler."""

import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelsHook(BuildHookInterface):
    """Compiles the kernels; without a compiler the wheel is pure, and plain PyTorch runs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before the wheel's files are gathered."""
        del version
        path = Path(self.root) / "deltas" / "kernels" / "build.py"
        spec = importlib.util.spec_from_file_location("kernels_build", path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if not module.build():
            self.app.display_warning("No C++ compiler built the kernels: plain PyTorch will run.")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
