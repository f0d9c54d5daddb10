from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import samples
from tests.dashboard.queries import Query, queries
from tests.file_server import serving_files
from tests.server.api.live import Live, serving, wait_until
from tests.sums import finish


def counts(live: Live) -> dict[str, float]:
    """Every sample by its name and labels."""
    response = live.http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_what_is_served_is_counted(live: Live):
    before = counts(live)
    answer = live.infer("prefix", "hello", max_tokens=5, ignore_eos=True, n=2)
    after = counts(live)
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    usage = answer["usage"]
    assert grown["vllm:prompt_tokens_total[]"] == usage["prompt_tokens"]
    assert grown["vllm:generation_tokens_total[]"] == usage["completion_tokens"] == 10
    assert grown["vllm:request_success_total[('finished_reason', 'length')]"] == 2
    assert grown["vllm:time_to_first_token_seconds_count[]"] == 2
    assert grown["vllm:inter_token_latency_seconds_count[]"] == 8
    assert grown["vllm:e2e_request_latency_seconds_count[]"] == 2
    assert grown["vllm:request_queue_time_seconds_count[]"] == 2
    assert grown["polydelta_sequences_total[('reason', 'length'), ('task', 'prefix')]"] == 2


def test_the_prefix_cache_is_counted_in_tokens(live: Live):
    before = counts(live)
    answers = [live.infer("bottleneck", "see you at noon " * 9, max_tokens=2) for _ in range(2)]
    after = counts(live)
    asked, found = (
        after[f"vllm:prefix_cache_{name}_total[]"] - before[f"vllm:prefix_cache_{name}_total[]"]
        for name in ("queries", "hits")
    )
    usages = [answer["usage"] for answer in answers]
    assert asked == sum(usage["prompt_tokens"] for usage in usages)
    assert "prompt_tokens_details" not in usages[0]
    assert found == usages[1]["prompt_tokens_details"]["cached_tokens"] > 0


def test_gauges_show_an_idle_engine(live: Live):
    live.settle()
    found = counts(live)
    for name in ("num_requests_waiting", "num_requests_running", "kv_cache_usage_perc"):
        assert found[f"vllm:{name}[]"] == 0
    labels = "('max_lora', '16'), ('running_lora_adapters', ''), ('waiting_lora_adapters', '')"
    assert f"vllm:lora_requests_info[{labels}]" in found


def test_deltas_in_memory_are_named_where_routers_look(live: Live):
    live.infer("lora", "hello", max_tokens=1)
    live.settle()
    found = counts(live)
    loaded = [name for name in found if name.startswith("vllm:lora_adapter_loaded[")]
    labels = [("adapter_name", "lora"), ("level", "gpu"), ("pinned", "false"), ("rank", "4")]
    assert f"vllm:lora_adapter_loaded{labels}" in loaded
    on_device = [name for name in loaded if "('level', 'gpu')" in name]
    assert found["vllm:num_gpu_loaded_lora_adapters[]"] == len(on_device)
    assert found["vllm:num_cpu_loaded_lora_adapters[]"] >= len(loaded) - len(on_device)
    assert found["vllm:max_gpu_lora_adapters[]"] == 16
    assert not any("base" in name for name in loaded)


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.panel)
def test_the_dashboard_asks_for_what_there_is(live: Live, query: Query):
    live.infer("lora", "hello", max_tokens=2)
    names = {name.partition("[")[0] for name in counts(live)}
    assert query.metrics
    assert query.metrics <= names


def on_device(live: Live) -> set[str]:
    """The deltas that are named as being on the device."""
    text = live.http.get("/metrics").text
    return {
        sample.labels["adapter_name"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "vllm:lora_adapter_loaded" and sample.labels["level"] == "gpu"
    }


def test_deltas_come_and_go(decoder: Path, tmp_path: Path):
    with serving(decoder, tmp_path, max_deltas=1, host_cache_gb=0) as live:
        for name in ("one", "two", "three"):
            live.add(name, samples.generator("lora", live.spec, seed=len(name)))
        for name in ("one", "two", "three"):
            live.infer(name, "hello", max_tokens=1)
        # What is listed is looked at between steps.
        wait_until(lambda: on_device(live) == {"three"})
        found = counts(live)
        assert not any("lora_adapter_loaded[" in name and "'one'" in name for name in found)
        assert found["vllm:num_gpu_loaded_lora_adapters[]"] == 1
        assert found["vllm:num_cpu_loaded_lora_adapters[]"] == 1
        assert found["vllm:lora_adapter_load_seconds_count[]"] >= 2


def test_the_registry_is_counted(decoder: Path, tmp_path: Path):
    watched = tmp_path / "watched"
    (watched / "odd").mkdir(parents=True)
    (watched / "odd" / "delta.json").write_text("{}")
    finish(watched / "odd")
    with (
        serving_files() as files,
        serving(
            decoder,
            tmp_path,
            watch=watched,
            sources=[f"{files.url}/allowed/*"],
            resolve=f"{files.url}/resolved/{{task}}/",
            private_sources=True,
            keep_versions=1,
        ) as live,
    ):
        folder = live.write("fetched", samples.generator("lora", live.spec, seed=9))
        for place in ("allowed/far", "resolved/found"):
            files.put(f"/{place}", folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        for seed in (1, 2):
            live.add("one", samples.generator("lora", live.spec, seed=seed))
        for at in ("far", "nothing"):
            live.http.put("/v1/tasks/two", json={"source": f"{files.url}/allowed/{at}/"})
        for name in ("found", "absent", "absent"):
            live.post("/v1/infer", task=name, input="x")
        live.http.delete("/v1/tasks/two", headers={"if-match": '"0"'})
        failures = "polydelta_watch_failures_total[]"
        wait_until(lambda: counts(live)[failures] == 1)
        live.engine.registry.settle()
        found = counts(live)
        on_disk = sum(path.stat().st_size for path in tmp_path.glob("store/blobs/*/*"))
    changes = "polydelta_registry_changes_total"
    assert (
        found
        | {
            "polydelta_tasks[]": 3,
            "polydelta_task_versions[]": 3,
            "polydelta_blob_bytes[]": on_disk,
            "polydelta_registry_pending[]": 0,
            "polydelta_watch_unserved[]": 1,
            f"{changes}[('change', 'put'), ('outcome', 'done')]": 4,
            f"{changes}[('change', 'remove'), ('outcome', 'precondition_failed')]": 1,
            "polydelta_versions_retired_total[]": 1,
            "polydelta_fetches_total[('outcome', 'done'), ('scheme', 'http')]": 2,
            "polydelta_fetches_total[('outcome', 'invalid_request'), ('scheme', 'http')]": 2,
            "polydelta_fetched_bytes_total[('scheme', 'http')]": 2 * size,
            "polydelta_lookups_total[('outcome', 'found')]": 1,
            "polydelta_lookups_total[('outcome', 'absent')]": 1,
            "polydelta_lookups_total[('outcome', 'absent_before')]": 1,
            "polydelta_lookups_total[('outcome', 'failed')]": 0,
        }
        == found
    )
    assert found["polydelta_fetch_seconds_total[('scheme', 'http')]"] > 0
    assert 0 <= found["polydelta_registry_lag_seconds[]"] < 30


def test_endless_task_names_share_a_series(live: Live):
    for index in range(300):
        live.engine.observer.finished(f"task-{index}", "stop", 0.1, 1)
    series = [name for name in counts(live) if name.startswith("polydelta_sequences_total")]
    assert any("(other)" in name for name in series)
    assert len(series) < 300
