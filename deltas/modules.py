"""Modules: where the sites of a base are in its live model."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from deltas.bank import Place
from deltas.base import LM_HEAD_SITE, BaseSpec
from deltas.families import Block
from deltas.site import Role, Site


class Modules:
    """The modules of a model by the sites of its base."""

    def __init__(self, model: PreTrainedModel, base: BaseSpec) -> None:
        self._model = model
        self._backbone: nn.Module = model.base_model
        self._family = base.family
        said: float | None = getattr(model.config, "residual_multiplier", None)
        self._share = 1.0 if said is None else said

    def at(self, site: Site) -> nn.Module:
        """The module whose output is a site's."""
        if site.role is Role.BLOCK:
            return self._in_layer(site, self._block(site).output)
        if site.name == LM_HEAD_SITE:
            head = self._model.get_output_embeddings()
            if isinstance(head, nn.Module):
                return head
        return self._backbone.get_submodule(site.name)

    def place(self, site: Site) -> Place:
        """A site with the modules that its banks may need."""
        if site.role is Role.HEAD:
            return Place(site, self._pooler())
        if site.role is Role.BLOCK:
            norm = self._block(site).norm
            behind = self._in_layer(site, norm) if norm else None
            return Place(site, self.at(site), behind, self._share)
        return Place(site, self.at(site))

    def residual(self, site: Site) -> tuple[nn.Module, int]:
        """The module that is given a BLOCK's residual, and as which of its arguments."""
        block = self._block(site)
        return self._in_layer(site, block.residual), block.argument

    def _pooler(self) -> nn.Module | None:
        """What makes one vector of hidden states [1, rows, hidden]."""
        if self._family.pooler is None:
            return None
        pooler = self._backbone.get_submodule(self._family.pooler)
        if isinstance(pooler, nn.Linear):  # ALBERT's is the projection alone
            return nn.Sequential(_FirstRow(), pooler, nn.Tanh())
        return pooler

    def _block(self, site: Site) -> Block:
        stack = next(each for each in self._family.stacks if each.rows is site.rows)
        return stack.blocks[site.name.rpartition(".")[2]]

    def _in_layer(self, site: Site, path: str) -> nn.Module:
        layer = site.name.rpartition(".")[0]
        return self._backbone.get_submodule(f"{layer}.{path}" if path else layer)


class _FirstRow(nn.Module):
    def forward(self, hidden: Tensor) -> Tensor:
        return hidden[:, 0]


def freeze(model: nn.Module) -> None:
    """Make every parameter constant and leave training mode."""
    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.requires_grad_(False)
