"""Cohere's client: both versions of its reranking."""

import os

import cohere

URL = os.environ["POLYDELTA_URL"]
DOCUMENTS = ["noon", "You won a prize", "see you there"]


def test_rerank():
    for client in (cohere.Client("none", base_url=URL), cohere.ClientV2("none", base_url=URL)):
        found = client.rerank(model="ranker", query="prize", documents=DOCUMENTS, top_n=2)
        scores = [each.relevance_score for each in found.results]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 2
        assert {each.index for each in found.results} < {0, 1, 2}
