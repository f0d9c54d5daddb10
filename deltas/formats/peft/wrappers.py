"""Names that tools leave in the names of tensors, under which PEFT itself finds nothing."""

from collections.abc import Iterable

from deltas.errors import UnsupportedDelta

_WRAPPERS = {
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
    "module": "data parallelism",
}
_LANGUAGE_MODEL = "language_model"


def refuse_wrapped(names: Iterable[str], *, inside: bool) -> None:
    """Raise UnsupportedDelta if some tensor's name holds a wrapper's, saying what to do.

    Of a base `inside` a model that reads more than text, that model's name is none.
    """
    found = {step for name in names for step in name.split(".")}
    for wrapper, origin in _WRAPPERS.items():
        if wrapper in found:
            raise UnsupportedDelta(
                f"The tensors' names hold '{wrapper}.', which {origin} left there and under which "
                "PEFT loads nothing. Take it out of every name: read the file with "
                "safetensors.torch.load_file and write it with save_file."
            )
    if _LANGUAGE_MODEL in found and not inside:
        raise UnsupportedDelta(
            "The tensors are for the language part of a model that reads more than text "
            f"('{_LANGUAGE_MODEL}.'). If the base here is that very part, give them its names for "
            "the modules, such as model.layers.0.self_attn.q_proj, in the weights and in "
            "target_modules."
        )
