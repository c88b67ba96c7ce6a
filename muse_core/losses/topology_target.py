"""Psi(A_T) by rows of the student's grid: what the student should see, formed a block at a time.

Psi = M A M^T, and M is the product of one small matrix for rows and one for columns of the grid. So
a block of student queries asks for the few rows of the teacher's grid it overlaps, and each side is
resized by its own matrix."""

from dataclasses import dataclass, replace

from einops import rearrange

from muse_core.attention import ALL, QueryKeys
from muse_core.losses.topology import Grid, group_heads, resize_side
from muse_core.shapes import AttentionMaps, TargetMaps


@dataclass(frozen=True)
class TopologyTarget:
    """One teacher layer for one student block: ``teacher`` on grid ``source``, seen with ``heads``
    heads on ``grid``.
    """

    teacher: QueryKeys
    source: Grid
    grid: Grid
    heads: int

    def grid_rows(self, rows: slice = ALL) -> TargetMaps:
        """Psi(A_T) of all queries in these rows of the student's grid, over all keys; without
        arguments, the whole map.

        Raises MuseError when the teacher's heads do not divide into ``heads``.
        """
        start, stop, _ = rows.indices(self.grid[0])
        if self.source == self.grid:
            return self._teacher_rows(start, stop)
        first, last = self._overlapped(start, stop)
        return self._resized(self._teacher_rows(first, last), start, stop, first, last)

    @property
    def elements_per_grid_row(self) -> int:
        """Numbers an image adds to a block's largest tensor with each row of the student's grid,
        overlaps aside.
        """
        teachers = self.teacher.num_heads * self.teacher.num_tokens**2
        students = self.heads * (self.grid[0] * self.grid[1]) ** 2
        return max(teachers, students) // self.grid[0]

    def of_images(self, images: slice) -> "TopologyTarget":
        return replace(self, teacher=self.teacher.of_images(images))

    def at_least_single(self) -> "TopologyTarget":
        return replace(self, teacher=self.teacher.at_least_single())

    def _teacher_rows(self, first: int, last: int) -> AttentionMaps:
        width = self.source[1]
        return group_heads(
            self.teacher.probabilities(slice(first * width, last * width)), self.heads
        )

    def _overlapped(self, start: int, stop: int) -> tuple[int, int]:
        """First and last (excluded) row of the teacher's grid that these rows of the student's are
        made of.
        """
        used = resize_side(self.source[0], self.grid[0])[start:stop].any(0).nonzero()
        return int(used.min()), int(used.max()) + 1

    def _resized(
        self, attention: AttentionMaps, start: int, stop: int, first: int, last: int
    ) -> TargetMaps:
        options = dict(device=attention.device, dtype=attention.dtype)
        down = resize_side(self.source[0], self.grid[0], **options)
        across = resize_side(self.source[1], self.grid[1], **options)
        queries = down[start:stop, first:last] @ rearrange(
            attention, "b n (h w) k -> b n h (w k)", h=last - first
        )
        queries = across @ rearrange(queries, "b n h (w k) -> b n h w k", w=self.source[1])
        keys = rearrange(queries, "b n h w (kh kw) -> b n (h w) kh kw", kh=self.source[0])
        keys = rearrange(down @ (keys @ across.T), "b n q kh kw -> b n q (kh kw)")
        return keys / keys.sum(-1, keepdim=True)


def topology_targets(
    layers: tuple[QueryKeys, ...], source: Grid, grid: Grid, heads: int
) -> tuple[TopologyTarget, ...]:
    """The teacher's layers as a student with ``heads`` on ``grid`` should see them; nothing is
    computed yet.
    """
    return tuple(TopologyTarget(layer, source, grid, heads) for layer in layers)
