"""The parameters that vLLM takes beside OpenAI's, by route, as its protocols name them.

From its sources of 2026 (`vllm/entrypoints`): `openai/chat_completion/protocol.py`,
`openai/completion/protocol.py`, `openai/responses/protocol.py`, `pooling/base/protocol.py`,
`pooling/scoring/protocol.py` and `serve/tokenize/protocol.py`; `_OLDER` are those of its earlier
releases, which its clients still send.
"""

_SAMPLING = """
    use_beam_search top_k min_p repetition_penalty watermarking length_penalty stop_token_ids
    include_stop_str_in_output ignore_eos min_tokens skip_special_tokens
    spaces_between_special_tokens truncate_prompt_tokens truncation_side prompt_logprobs
    logprob_token_ids allowed_token_ids bad_words
"""
_BOTH = """
    add_special_tokens structured_outputs priority request_id session_id
    return_tokens_as_token_ids return_token_ids routed_experts_prompt_start return_token_offsets
    return_mm_kwargs cache_salt kv_transfer_params ec_transfer_params vllm_xargs
    repetition_detection thinking_token_budget stream_interval
"""
_CHAT = "chat_template chat_template_kwargs media_io_kwargs mm_processor_kwargs"
_END = "add_generation_prompt continue_final_message"
_OLDER = """
    guided_json guided_json_object guided_regex guided_choice guided_grammar guided_decoding_backend
    guided_whitespace_pattern structural_tag logits_processors best_of
"""
_HEADS = """
    truncate_prompt_tokens padding truncation_side request_id priority mm_processor_kwargs
    cache_salt use_activation
"""
_PACKED = "embed_dtype endianness"

_LISTS = {
    "completions": f"{_SAMPLING} {_BOTH} {_OLDER} prompt_embeds response_format",
    "chat": (
        f"{_SAMPLING} {_BOTH} {_OLDER} {_CHAT} {_END} echo documents return_prompt_text "
        "include_reasoning"
    ),
    "responses": """
        request_id mm_processor_kwargs priority cache_salt enable_response_messages
        previous_input_messages previous_response structured_outputs repetition_penalty seed stop
        ignore_eos vllm_xargs logit_bias top_k skip_special_tokens include_stop_str_in_output
    """,
    "embeddings": f"{_HEADS} {_PACKED} add_special_tokens",
    "classify": f"{_HEADS} {_CHAT} {_END} add_special_tokens",
    "pooling": f"{_HEADS} {_CHAT} {_END} {_PACKED} add_special_tokens dimensions encoding_format",
    "score": _HEADS,
    "rerank": f"{_HEADS} top_n",
    "tokenize": f"{_CHAT} {_END} add_special_tokens return_token_strs tools",
}
PARAMETERS = {route: frozenset(names.split()) for route, names in _LISTS.items()}
