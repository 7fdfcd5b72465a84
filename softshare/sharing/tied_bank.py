"""The tied bank: one weight a cluster of layers, and a signed scale for each layer that borrows it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from softshare.sharing.bank import TemplateBank
from softshare.sharing.synthesis import is_channels_last


class TiedBank(nn.Module):
    """What a template bank becomes when layers are tied: W_i = s_i V_c, with c the cluster of layer i.

    In each cluster one layer, its *lender*, has the cluster's weight itself (scale 1); every other layer has a
    signed scale of its own. So C clusters of L layers take C weights and L - C scalars. Where there are more
    clusters than templates, C > k, the cluster's weights stay mixtures of the k templates.

    Scales are needed for tying to change nothing at similarity 1: in a pre-activation block the second
    convolution's output joins the residual stream before any norm could undo its sign and size.

    Attributes:
        scales: Parameter [L - C], of the borrowing layers in their order.
        template_stack: Parameter `[C * out, in, *kernel]`, the clusters' weights; None where C > k.
        mixed: Template bank of C layers that gives the clusters' weights where C > k, else None.
        clusters: Cluster of each layer, [L], numbered from 0.
        lenders: For each cluster the layer that has its weight, [C].
        weight_shape: Shape of one weight.
        group: Name of the group of layers.
        layers: Names of the layers.
    """

    def __init__(
        self,
        clusters: Sequence[int],
        lenders: Sequence[int],
        like: TemplateBank | TiedBank,
        *,
        group: str,
        layers: Sequence[str],
    ) -> None:
        """Makes a bank whose values are yet to be set.

        Args:
            clusters: Cluster of each layer.
            lenders: For each cluster one of its layers.
            like: The bank whose layers are tied; shapes, type, device and what is trained are taken from it.
            group: Name of the group of layers.
            layers: Names of the layers.

        Raises:
            ValueError: A lender that is not of its cluster.
        """
        super().__init__()
        if [clusters[lender] for lender in lenders] != list(range(len(set(clusters)))):
            raise ValueError(f"lenders {list(lenders)} are not one of each cluster of {list(clusters)}")
        self.clusters, self.lenders = tuple(clusters), tuple(lenders)
        self.group, self.layers = group, tuple(layers)
        self.weight_shape: tuple[int, ...] = like.weight_shape
        borrowers = [layer for layer in range(len(clusters)) if layer not in self.lenders]
        self._scale_of = {layer: index for index, layer in enumerate(borrowers)}
        stack = like.template_stack
        assert stack is not None
        self.scales = nn.Parameter(stack.new_ones(len(borrowers)), like.mixes)
        self.mixed: TemplateBank | None = None
        self.template_stack: nn.Parameter | None = None
        if len(lenders) > like.num_templates:
            self.mixed = TemplateBank(
                len(lenders), like.num_templates, like.weight_shape, device=stack.device, dtype=stack.dtype
            )
            self.mixed.template_stack.requires_grad_(stack.requires_grad)
            self.mixed.coefficients.requires_grad_(like.mixes)
        else:
            shape = (len(lenders) * self.weight_shape[0], *self.weight_shape[1:])
            self.template_stack = nn.Parameter(stack.new_zeros(shape), stack.requires_grad)
        if is_channels_last(stack):
            self.to(memory_format=torch.channels_last)
        self.train(like.training)

    @property
    def mixes(self) -> bool:
        """Whether the scales are trained."""
        return self.scales.requires_grad

    @property
    def num_layers(self) -> int:
        """L, layers that take their weight from here."""
        return len(self.clusters)

    @property
    def num_templates(self) -> int:
        """C, different weights."""
        return len(self.lenders)

    @property
    def templates(self) -> Tensor:
        """The clusters' weights `[C, *weight_shape]`; a view where C <= k."""
        if self.mixed is not None:
            return torch.stack(self.mixed())
        assert self.template_stack is not None
        return self.template_stack.unflatten(0, (self.num_templates, self.weight_shape[0]))

    @property
    def coefficients(self) -> Tensor:
        """The scales as a matrix [L, C], zero but for each layer's own cluster."""
        matrix = self.scales.new_zeros(self.num_layers, self.num_templates)
        rows = torch.arange(self.num_layers, device=matrix.device)
        values = [self.scale(layer) for layer in range(self.num_layers)]
        one = self.scales.new_ones(())
        columns = torch.tensor(self.clusters, device=matrix.device)
        return matrix.index_put((rows, columns), torch.stack([one if value is None else value for value in values]))

    def scale(self, layer: int) -> Tensor | None:
        """The signed scale of a layer, a scalar; None for a lender, whose scale is 1."""
        return self.scales[self._scale_of[layer]] if layer in self._scale_of else None

    def weight(self, layer: int, *, autocasts: bool = False) -> Tensor:
        """The weight of one layer, of `weight_shape`; see `TemplateBank.weight`."""
        cluster = self.clusters[layer]
        shared = self.templates[cluster] if self.mixed is None else self.mixed.weight(cluster, autocasts=autocasts)
        scale = self.scale(layer)
        return shared if scale is None else shared * scale

    def forward(self) -> tuple[Tensor, ...]:
        """The L weights, each of `weight_shape`."""
        return tuple(self.weight(layer) for layer in range(self.num_layers))

    def extra_repr(self) -> str:
        """Shapes, as `print(model)` shows them."""
        shape = "x".join(map(str, self.weight_shape))
        return f"layers={self.num_layers}, clusters={self.num_templates}, weight={shape}"
