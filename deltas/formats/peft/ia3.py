"""PEFT's IA3."""

from collections.abc import Iterable

from deltas.delta import Part
from deltas.errors import InvalidDelta
from deltas.formats.peft.base_copy import drop_base_copy
from deltas.formats.peft.method import Method, Source
from deltas.formats.peft.targets import Targets


class Ia3Method(Method):
    """Scales of outputs [outputs, 1] and, in feed-forward modules, of inputs [1, inputs]."""

    kind = "ia3"
    peft_types = ("IA3",)

    def parts(self, source: Source) -> Iterable[Part]:
        """One part for each projection."""
        # The tensors' own shapes tell which modules count as feed-forward.
        source.config.ignore("fan_in_fan_out", "feedforward_modules", "init_ia3_weights")
        targets = Targets.read(source.config)
        scales = source.weights.take_all(".ia3_l")
        drop_base_copy(source)
        targets.check(scales, source.weights, source.base, source.task)
        for module, scale in scales.items():
            site = source.weights.site(module)
            match scale.shape:
                case (1, _):
                    yield Part(self.kind, site, {"input_scale": scale[0]})
                case (_, 1):
                    yield Part(self.kind, site, {"scale": scale[:, 0]})
                case shape:
                    raise InvalidDelta(f"The scale of '{module}' has the shape {tuple(shape)}.")
