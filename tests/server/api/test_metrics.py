from prometheus_client.parser import text_string_to_metric_families

from tests.server.api.live import Live


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


def test_endless_task_names_share_a_series(live: Live):
    for index in range(300):
        live.engine.observer.finished(f"task-{index}", "stop", 0.1, 1)
    series = [name for name in counts(live) if name.startswith("polydelta_sequences_total")]
    assert any("(other)" in name for name in series)
    assert len(series) < 300
