// What follows from several snapshots: counts only grow, so their differences are rates.

export const KEPT = 120;

export const kept = (before, snapshot) => {
  // A server that was started again counts from 0.
  const same = before.length && snapshot.tokens >= before.at(-1).tokens;
  return [...(same ? before : []), snapshot].slice(-KEPT);
};

// How much a count grew a second, from each snapshot to the next.
export function rates(snapshots, count) {
  return snapshots.map((snapshot, at) => {
    const before = snapshots[at - 1];
    if (!before || snapshot.time <= before.time) return null;
    return (count(snapshot) - count(before)) / (snapshot.time - before.time);
  });
}

// What was observed between the first snapshot and the last; if nothing, since the server started.
function observed(snapshots) {
  const [first, last] = [snapshots[0].first_token, snapshots.at(-1).first_token];
  const grown = last.map(([bound, seen], at) => [bound, seen - first[at][1]]);
  return grown.at(-1)[1] ? grown : last;
}

// The value that a share of what was observed stays below, by Prometheus' interpolation.
export function quantile(snapshots, share) {
  const grown = observed(snapshots);
  const all = grown.at(-1)[1];
  if (!all) return null;
  const at = grown.findIndex(([, seen]) => seen >= share * all);
  const [below, under] = at ? grown[at - 1] : [0, 0];
  const [bound, seen] = grown[at];
  if (bound === null) return below;
  return below + ((bound - below) * (share * all - under)) / (seen - under);
}
