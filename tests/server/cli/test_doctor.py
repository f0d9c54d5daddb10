import json
from dataclasses import replace

import pytest

from server.cli.advice import advice, single_stream_bound
from server.cli.machine import Gpu, Machine
from tests.server.cli.conftest import Polydelta

FINE = Machine(
    versions={},
    processor="any",
    cores=8,
    threads=8,
    instructions=("avx512_bf16",),
    memory=64,
    free_memory=32,
    free_disk=100,
    compiler=None,
    kernels="avx2",
    gpus=(Gpu("any", 80, (9, 0)),),
    device="cuda",
    dtype="bfloat16",
    products={"float32": 100, "bfloat16": 300},
    reading=50,
)
CPU = replace(FINE, gpus=(), device="cpu")


def test_this_machine_is_described(polydelta: Polydelta) -> None:
    result = polydelta("doctor", "-o", "json")
    found = json.loads(result.out)["machine"]
    assert found["device"] in ("cpu", "cuda")
    assert found["dtype"] in ("float32", "bfloat16", "float16")
    assert found["cores"] > 0
    assert found["memory"] >= found["free_memory"] > 0
    assert min(found["products"].values()) > 0


def test_the_page_names_what_auto_picks(polydelta: Polydelta) -> None:
    assert "auto picks" in polydelta("doctor").out


def test_a_fine_machine_gets_no_advice() -> None:
    assert list(advice(FINE)) == []


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (CPU, "No CUDA device"),
        (replace(CPU, kernels=None), "native kernels are missing"),
        (replace(FINE, products={"float32": 100, "bfloat16": 20}), "bfloat16 is emulated"),
        (replace(CPU, threads=16), "set OMP_NUM_THREADS=8"),
        (replace(CPU, threads=1), "1 of 8 cores"),
        (replace(CPU, cores=0.5, threads=2), "set OMP_NUM_THREADS=1"),
        (replace(FINE, free_memory=1), "1.0 GB of memory"),
        (replace(FINE, free_disk=1), "--cache"),
    ],
)
def test_what_would_be_slow_is_said_with_its_reason(machine: Machine, words: str) -> None:
    assert any(words in line for line in advice(machine))


def test_the_bound_is_one_reading_of_the_weights_a_token() -> None:
    float32, bfloat16 = replace(CPU, dtype="float32"), CPU
    assert single_stream_bound(bfloat16) == pytest.approx(2 * single_stream_bound(float32))
    assert single_stream_bound(float32) == pytest.approx(50e9 / (4 * 134_515_008), rel=1e-3)
