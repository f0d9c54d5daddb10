"""Giving way: which of those that wait lose their places to others once a queue is full."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from heapq import heapify, heappop, heapreplace

from server.engine.row import Party, Row
from server.engine.sequence import Key
from server.engine.turns import Weight


def giving_way(
    rows: Mapping[Key, Row], party: Party, count: int, excess: int, weight: Weight
) -> list[str]:
    """The requests that give way to `count` rows of a party: those of `excess` rows, or none.

    Tenants are compared by their rows over their weights, one's parties by theirs; of equals the
    one that came last gives way, and of a party the youngest request of which nothing runs. Who
    gives way has more than the newcomer would.
    """
    parties = Counter(row.party for row in rows.values())
    tenants = Counter(row.party.tenant for row in rows.values())
    waiting = _waiting(rows)
    heaps: dict[str, list[tuple[int, int, Party]]] = {}
    for each, own in waiting.items():
        heaps.setdefault(each.tenant, []).append((-parties[each], -own[-1][0], each))
    for heap in heaps.values():
        heapify(heap)
    weights = {tenant: weight(tenant) for tenant in {*heaps, party.tenant}}
    found: list[str] = []
    while excess > 0 and heaps:
        worst = min(heaps, key=lambda each: (-tenants[each] / weights[each], heaps[each][0][:2]))
        victim = heaps[worst][0][2]
        if worst == party.tenant:
            has_more = parties[victim] > parties[party] + count
        else:
            ours = (tenants[party.tenant] + count) / weights[party.tenant]
            has_more = tenants[worst] / weights[worst] > ours
        if not has_more:
            break
        _, request, size = waiting[victim].pop()
        found.append(request)
        excess -= size
        parties[victim] -= size
        tenants[worst] -= size
        if waiting[victim]:
            heapreplace(heaps[worst], (-parties[victim], -waiting[victim][-1][0], victim))
        else:
            heappop(heaps[worst])
            if not heaps[worst]:
                del heaps[worst]
    return found if excess <= 0 else []


def _waiting(rows: Mapping[Key, Row]) -> dict[Party, list[tuple[int, str, int]]]:
    """Each party's requests of which nothing runs, oldest first: number, name and rows."""
    running = {request for (request, _), row in rows.items() if row.running}
    sizes = Counter(request for request, _ in rows)
    parties = {request: row.party for (request, _), row in rows.items()}
    found: defaultdict[Party, list[tuple[int, str, int]]] = defaultdict(list)
    for number, (request, party) in enumerate(parties.items()):
        if request not in running:
            found[party].append((number, request, sizes[request]))
    return found
