"""Hooks: what deltas change in modules that know nothing of them."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from deltas.modules import Modules
from deltas.site import Role, Site

Before: TypeAlias = Callable[[str, Tensor], Tensor]
"""Makes of a site's name and its input, rows [T, inputs], what the module is to get instead."""
After: TypeAlias = Callable[[str, Tensor, Tensor], Tensor]
"""Makes of a site's name, its input and its output, rows [T, outputs], the output of all."""


class Hooks:
    """The hooks of a model's modules, by site; a site without any costs nothing."""

    def __init__(self, modules: Modules, before: Before, after: After) -> None:
        self._modules = modules
        self._before, self._after = before, after
        self._handles: dict[str, list[RemovableHandle]] = {}
        self._residuals: dict[str, Tensor] = {}

    def hook(self, site: Site) -> None:
        """Let what happens at a site be changed, unless it is so already."""
        if site.name not in self._handles:
            self._handles[site.name] = list(self._added(site))

    def unhook(self, site: Site) -> None:
        """Leave a site's modules alone."""
        for handle in self._handles.pop(site.name, ()):
            handle.remove()

    def _added(self, site: Site) -> Iterable[RemovableHandle]:
        if site.role in (Role.ATTENTION, Role.HEAD):
            return
        module = self._modules.at(site)
        if site.role is Role.BLOCK:
            source, argument = self._modules.residual(site)

            def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                self._residuals[site.name] = inputs[argument]

            yield source.register_forward_pre_hook(keep)
        if site.role is Role.LINEAR:

            def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                x = inputs[0]
                return (self._before(site.name, x.reshape(-1, x.shape[-1])).view(x.shape),)

            yield module.register_forward_pre_hook(before)

        def after(_: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> Any:
            x = self._residuals.pop(site.name) if site.role is Role.BLOCK else inputs[0]
            y: Tensor = output[0] if isinstance(output, tuple) else output
            rows = y.reshape(-1, y.shape[-1])
            from_x = x.reshape(len(rows), -1) if x.is_floating_point() else x.reshape(-1)
            changed = self._after(site.name, from_x, rows).view(y.shape)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        # A projection may be where a block ends, too: its own deltas come first.
        yield module.register_forward_hook(after, prepend=site.role is Role.LINEAR)
