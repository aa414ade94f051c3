"""Mistakes to be caught: in the module as `ast.unparse` writes it, this text, becomes that."""

from __future__ import annotations

MUTANTS: dict[str, list[tuple[str, str]]] = {
    "nn.conv": [
        ("gcolumns = _products(", "gcolumns = -_products("),
        (
            "_products(xp.matrix_transpose(filters), gy)",
            "_products(xp.matrix_transpose(filters[:1]), gy)",
        ),  # the first group's for all
        ("_products(gy, ", "_products(gy[::-1], "),  # groups mixed up
        ("_products(gy, ", "_products(gy / N, "),
        ("gbias = xp.sum(gradient", "gbias = xp.mean(gradient"),
        ("+ xp.reshape(bias, (F, 1, 1, 1))", "+ 2 * xp.reshape(bias, (F, 1, 1, 1))"),
    ],
    "nn.pool": [
        ("first = waiting & (reach", "first = (reach"),  # every maximum of a tie
        ("waiting = waiting & ~first", "waiting = ~first"),
        (".add(xp.where(first", ".set(xp.where(first"),  # overlapping windows do not add up
        ("xp.where(first, gradient, zero)", "xp.where(waiting, gradient, zero)"),
        (
            "for rows, columns in tap_slices(size, stride, out):\n        first",
            "for rows, columns in reversed(list(tap_slices(size, stride, out))):\n        first",  # the last maximum
        ),
    ],
    "nn.arguments": [
        ("(out - 1) * stride >= length", "(out - 1) * stride > length"),
        ("(-(-steps // stride) if ceil_mode else steps // stride)", "steps // stride"),
        ("if not array_namespace(array).isdtype(array.dtype, kinds)", "if False"),
    ],
    "nn.lrn": [
        ("2.0 * alpha * beta / size", "alpha * beta / size"),
        ("2.0 * alpha * beta / size", "2.0 * alpha * beta"),
        ("2.0 * alpha * beta / size", "2.0 * alpha / size"),
        ("gradient * power - 2.0", "gradient * power + 2.0"),
        ("gradient * x * power / scale", "gradient * x * power"),
        ("gradient * x * power / scale", "gradient * power / scale"),
        ("size * x * shared", "size * shared"),
        ("(size // 2, size // 2)", "(size // 2 - 1, size // 2 + 1)"),  # a window off by one
        ("for shift in range(2, size)", "for shift in range(2, size - 1)"),
        ("k + alpha / size *", "k + alpha *"),
    ],
    "nn.relu": [
        ("xp.where(context, gradient", "xp.where(~context, gradient"),
        ("xp.zeros_like(gradient))", "0.01 * gradient)"),
        ("x > 0)", "x >= 0)"),
        ("xp.where(context, gradient, xp.zeros_like(gradient))", "gradient"),
    ],
    "nn.softmax": [
        ("q * (gradient - xp.sum(gradient * q", "q * (gradient - xp.sum(gradient"),
        ("q * (gradient - xp.sum(gradient * q", "q * (gradient + xp.sum(gradient * q"),
        ("q * (gradient - xp.sum(gradient * q", "(gradient - xp.sum(gradient * q"),
        ("xp.sum(gradient * q, axis=axis", "xp.sum(gradient * q, axis=-1"),
        ("gradient - q * xp.sum(gradient, axis", "gradient - xp.sum(gradient, axis"),
        ("gradient - q * xp.sum(gradient, axis", "gradient - q * xp.mean(gradient, axis"),
        ("shifted - xp.log(total)", "shifted + xp.log(total)"),
    ],
    "nn.dropout": [
        ("gradient * context", "gradient * (context > 0)"),
        ("else gradient * context", "else gradient"),
        ("* (1.0 / (1.0 - p))", "* (1.0 / p)"),
        (">= np.float32(p)", "< np.float32(p)"),
    ],
    "nn.windows": [
        ("padding[0]:padding[0] + H", "padding[0] - 1:padding[0] - 1 + H"),  # crops one row too early
        ("padding[1]:padding[1] + W", ":W"),
        (".add(windows[:, tap, ...])", ".set(windows[:, tap, ...])"),
        (".add(windows[:, tap, ...])", ".add(windows[:, tap - 1, ...])"),
        (
            "for i in range(kernel[0]):\n        for j in range(kernel[1]):",
            "for j in range(kernel[1]):\n        for i in range(kernel[0]):",
        ),
    ],
    "nn.sgd": [
        ("momentum * velocity + change", "momentum * (velocity + change)"),
        ("self.decay * decay_factor", "self.decay"),
        ("rate * rate_factor, ", "rate, "),
        ("change = rate * (gradient + decay", "change = rate * (gradient - decay"),
        ("w - velocity", "w - change"),
        ("rate = self.rate if rate is None else rate", "rate = self.rate"),
        ("name: g * xp.astype(scale, g.dtype, copy=False)", "name: g"),
        ("xp.sum(widened(g) ** 2)", "xp.sum(abs(g))"),
    ],
    "nn.layer": [
        ("{'weight': gweight, 'bias': gbias}", "{'weight': gweight, 'bias': 0 * gbias}"),
    ],
    "nn.sequential": [
        ("range(len(names) - 1, last - 1, -1)", "range(len(names) - 1, last, -1)"),
        ("needs_parameters and name not in self.frozen)", "needs_parameters)"),
        ("if self._trained(name))", "if not self._trained(name))"),
    ],
    "losses.cross_entropy": [
        ("log_softmax_backward(-truth, context)", "log_softmax_backward(truth, context)"),
        ("log_softmax_backward(-truth, context) * share", "log_softmax_backward(-truth, context)"),
        ("log_softmax_backward(-truth, context)", "-truth"),
        ("truth = cells * target", "truth = target"),
        ("xp.sum(cells) if", "xp.sum(xp.ones_like(cells)) if"),
    ],
    "losses.overlap": [
        (" + (1 - target) * to_union", ""),
        ("(1 - target) * to_union", "to_union"),
        ("+ (1 - target) * to_union", "- (1 - target) * to_union"),
        ("target * to_intersection +", "-target * to_intersection +"),
        ("target * to_intersection + ", ""),
        ("cell_weights(z, weight) * (target", "(target"),
        ("softmax_backward(grad_q, context)", "grad_q"),
        ("softmax_backward(grad_q, context)", "grad_q * q * (1 - q)"),  # Eqs. 54 and 61 to the letter
        (", share * per_union", ", per_union"),
        ("per_union, share * sums.intersection * slope", "per_union, share * slope"),
        ("share * sums.intersection * per_union", "share * sums.intersection / sums.cardinality"),
        (", share * sums.union * slope", ", share * sums.cardinality * slope"),
        (", share * per_intersection", ", per_intersection"),
        ("- 2 * share * per_cardinality", "- share * per_cardinality"),
        ("per_cardinality, to_cardinality", "per_cardinality, 0 * to_cardinality"),
    ],
    "losses.lovasz": [
        ("(1 - 2 * truth) * rise", "rise"),
        ("* xp.expand_dims(share, axis=1)\n    value = xp.sum(error * rise)", "\n    value = xp.sum(error * rise) / 3"),
    ],
    "losses.expected": [
        ("-inverse * inverse", "inverse * inverse"),
        ("-inverse * inverse", "-inverse"),
        ("2.0 - x * inverse", "1.0 - x * inverse"),
        ("cells * q + truth", "q + truth"),
        ("xp.sum(q * truth", "xp.sum(q * target"),
        ("counted / xp.maximum(number, xp.ones_like(number))", "counted"),
        ("mass >= min_mass", "mass > min_mass"),
    ],
    "losses.counts": [
        ("cross_entropy = -xp.sum(", "cross_entropy = xp.sum("),
        ("return self._add(other.sums)", "return self._add(2 * other.sums)"),
        ("self.sums + _moved(sums, self.sums)", "_moved(sums, self.sums)"),
        ("sums[2 * K:3 * K]", "sums[K:2 * K]"),
    ],
    "losses.table": [
        ("factor * gradient for", "gradient for"),
        ("factor * part for", "part for"),
    ],
}
