"""`python openvino_export.py BASE FOLDER`: writes a base and its tokenizer in OpenVINO's format."""

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Convert without compressing a weight."""
    base, folder = sys.argv[1], Path(sys.argv[2])
    models = importlib.import_module("optimum.intel").OVModelForCausalLM
    model = models.from_pretrained(base, export=True, load_in_8bit=False, compile=False)
    model.save_pretrained(folder)
    transformers = importlib.import_module("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    convert = importlib.import_module("openvino_tokenizers").convert_tokenizer
    names = ("openvino_tokenizer.xml", "openvino_detokenizer.xml")
    for name, part in zip(names, convert(tokenizer, with_detokenizer=True), strict=True):
        importlib.import_module("openvino").save_model(part, folder / name)


if __name__ == "__main__":
    main()
