"""What processes of tests load before they begin, what Transformers puts off among it."""

from importlib import import_module

for _name in (
    "transformers.models.auto.modeling_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama",
    "server.build",
    "server.cli.start",
    "server.serve",
    "tests.bases",
    "tests.server.registry.weigh",
    "tests.server.served",
):
    import_module(_name)
