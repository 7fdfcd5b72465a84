"""The kernels of `triton_synthesis`, in Triton's part of Python: a program takes some columns of all rows."""

# Triton's annotations are its own, and its arguments have no others.
# mypy: disable-error-code="no-untyped-def"

import triton
import triton.language as tl


@triton.jit
def weights(mixing, templates, result, size, layers: tl.constexpr, count: tl.constexpr, block: tl.constexpr):
    """`result` [layers, size] = `mixing` [layers, count] times `templates` [count, size]."""
    columns = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = columns < size
    for layer in tl.static_range(layers):
        total = tl.zeros((block,), tl.float32)
        for template in tl.static_range(count):
            row = tl.load(templates + template * size + columns, mask=inside, other=0.0)
            total += tl.load(mixing + layer * count + template) * row
        tl.store(result + layer * size + columns, total.to(result.dtype.element_ty), mask=inside)


@triton.jit
def gradients(
    mixing, templates, rows, for_templates, sums, size, layers: tl.constexpr, count: tl.constexpr, block: tl.constexpr
):
    """What `rows` [layers, size], gradients for the weights, are for templates and coefficients.

    `for_templates` [count, size] = the transpose of `mixing` times `rows`; `sums` [programs, layers * count] = each
    program's part of `rows` times the transpose of `templates`.
    """
    program = tl.program_id(0).to(tl.int64)
    columns = program * block + tl.arange(0, block)
    inside = columns < size
    for template in tl.static_range(count):
        row = tl.load(templates + template * size + columns, mask=inside, other=0.0)
        total = tl.zeros((block,), tl.float32)
        for layer in tl.static_range(layers):
            gradient = tl.load(rows + layer * size + columns, mask=inside, other=0.0).to(tl.float32)
            total += tl.load(mixing + layer * count + template) * gradient
            tl.store(sums + program * (layers * count) + layer * count + template, tl.sum(row * gradient, axis=0))
        tl.store(for_templates + template * size + columns, total, mask=inside)
