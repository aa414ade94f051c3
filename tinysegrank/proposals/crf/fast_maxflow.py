"""Minimum cuts in Numba, by Dinic's algorithm, with the flow kept from step to step.

A node's gain stands for two arcs: if positive, it is the capacity from the source, if negative, minus the capacity to
the sink. As gains never fall, the flow of one step is feasible in the next, and only the difference is still to be
pushed. All arcs out of the source side of a cut are full and stay so, so its nodes are not visited again.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled


@compiled()
def nested_cuts(edges: np.ndarray, forward: np.ndarray, backward: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Numba version of `maxflow.nested_cuts`: find the minimum cuts for every hypothesis and step.

    Exact while the gains of all nodes, and the capacities at each node, sum to less than 2^63.

    Source: Dinic 1970; keeping the flow while source capacities grow is of Gallo, Grigoriadis and Tarjan, "A fast
    parametric maximum flow algorithm and applications", SIAM J. Computing 1989.
    """
    B, L, S = gain.shape
    first, head, reverse, capacity = _rows(edges, forward, backward, S)
    found = np.zeros((B, L, S), np.bool_)
    inside = np.empty(S, np.bool_)  # the source side so far
    excess = np.empty(S, np.int64)  # above 0: can still come from the source; below 0: can still go to the sink
    distance = np.empty(S, np.int32)
    queue = np.empty(S, np.int32)
    arc = np.empty(S, np.int64)  # next arc of each node to try
    path = np.empty(S + 1, np.int64)
    residual = np.empty(len(capacity), np.int64)
    for b in range(B):
        for k in range(len(capacity)):
            residual[k] = capacity[k]
        for i in range(S):
            inside[i], excess[i] = False, 0
        for step in range(L):
            for i in range(S):
                if not inside[i]:
                    excess[i] += gain[b, step, i] - (gain[b, step - 1, i] if step else 0)
            while _distances(first, head, reverse, residual, excess, inside, distance, queue):
                for i in range(S):
                    arc[i] = first[i]
                for i in range(S):
                    if excess[i] > 0 and not inside[i] and distance[i] > 0:
                        _push(i, first, head, reverse, residual, excess, distance, arc, path)
            _grow(first, head, residual, excess, inside, queue)
            for i in range(S):
                found[b, step, i] = inside[i]
    return found


@compiled()
def _rows(
    edges: np.ndarray, forward: np.ndarray, backward: np.ndarray, nodes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sort arcs by tail; return the first arc of each node (nodes + 1,), and heads, reverse arcs, capacities (2 E,)."""
    first = np.zeros(nodes + 1, np.int64)
    for e in range(len(edges)):
        first[edges[e, 0] + 1] += 1
        first[edges[e, 1] + 1] += 1
    free = np.empty(nodes + 1, np.int64)  # next place of each row
    free[0] = 0
    for i in range(nodes):
        first[i + 1] += first[i]
        free[i + 1] = first[i + 1]
    head = np.empty(2 * len(edges), np.int64)
    reverse = np.empty(2 * len(edges), np.int64)
    capacity = np.empty(2 * len(edges), np.int64)
    for e in range(len(edges)):
        i, j = edges[e, 0], edges[e, 1]
        there = free[i]
        free[i] += 1
        back = free[j]
        free[j] += 1
        head[there], head[back] = j, i
        reverse[there], reverse[back] = back, there
        capacity[there], capacity[back] = forward[e], backward[e]
    return first, head, reverse, capacity


@compiled()
def _distances(
    first: np.ndarray,
    head: np.ndarray,
    reverse: np.ndarray,
    residual: np.ndarray,
    excess: np.ndarray,
    inside: np.ndarray,
    distance: np.ndarray,
    queue: np.ndarray,
) -> bool:
    """Write to `distance` how many open arcs each node is from one with capacity to the sink, or -1 for none.

    Nodes farther than the nearest one with excess may be left at -1. Return whether a node with excess has a distance.
    """
    end = 0
    for i in range(len(distance)):
        distance[i] = -1
        if excess[i] < 0:
            distance[i] = 0
            queue[end] = i
            end += 1
    start = 0
    nearest = -1  # nodes farther than the nearest with excess are not needed in this round
    while start < end:
        j = queue[start]
        start += 1
        if 0 <= nearest <= distance[j]:
            break
        for k in range(first[j], first[j + 1]):
            i = head[k]
            if distance[i] < 0 and residual[reverse[k]] > 0 and not inside[i]:
                distance[i] = distance[j] + 1
                queue[end] = i
                end += 1
                if excess[i] > 0 and nearest < 0:
                    nearest = distance[i]
    return nearest >= 0


@compiled()
def _push(
    start: int,
    first: np.ndarray,
    head: np.ndarray,
    reverse: np.ndarray,
    residual: np.ndarray,
    excess: np.ndarray,
    distance: np.ndarray,
    arc: np.ndarray,
    path: np.ndarray,
) -> None:
    """Push as much of the excess of `start` as possible along shortest paths to nodes with capacity to the sink."""
    depth, i = 0, start
    while excess[start] > 0:
        if excess[i] < 0:
            amount = min(excess[start], -excess[i])
            for d in range(depth):
                amount = min(amount, residual[path[d]])
            excess[start] -= amount
            excess[i] += amount
            full = depth
            for d in range(depth - 1, -1, -1):
                k = path[d]
                residual[k] -= amount
                residual[reverse[k]] += amount
                if residual[k] == 0:
                    full = d
            if full < depth:
                i = head[reverse[path[full]]]  # continue from the tail of the first full arc
                depth = full
            elif depth:
                depth -= 1
                i = head[reverse[path[depth]]]
            continue
        while arc[i] < first[i + 1]:
            k = arc[i]
            if residual[k] > 0 and distance[head[k]] == distance[i] - 1 and distance[i] > 0:
                break
            arc[i] += 1
        if arc[i] < first[i + 1]:
            path[depth] = arc[i]
            depth += 1
            i = head[arc[i]]
        elif depth:
            depth -= 1
            i = head[reverse[path[depth]]]
            arc[i] += 1
        else:
            return


@compiled()
def _grow(
    first: np.ndarray, head: np.ndarray, residual: np.ndarray, excess: np.ndarray, inside: np.ndarray, queue: np.ndarray
) -> None:
    """Set `inside` for the nodes with excess, and for all that they reach along arcs with capacity left."""
    end = 0
    for i in range(len(inside)):
        if excess[i] > 0 and not inside[i]:
            inside[i] = True
            queue[end] = i
            end += 1
    start = 0
    while start < end:
        i = queue[start]
        start += 1
        for k in range(first[i], first[i + 1]):
            j = head[k]
            if residual[k] > 0 and not inside[j]:
                inside[j] = True
                queue[end] = j
                end += 1
