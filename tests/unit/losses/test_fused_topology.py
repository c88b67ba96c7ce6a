"""The walk in blocks against the plain equation on whole maps: value, gradient, and how much is
ever held.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from muse_core.attention import QueryKeys
from muse_core.errors import MuseError
from muse_core.losses import fused_topology
from muse_core.losses.fused_topology import fused_topology_loss, topology_divergences
from muse_core.losses.topology import attention_divergence, teacher_targets
from muse_core.losses.topology_block import block_terms
from muse_core.losses.topology_target import TopologyTarget, topology_targets

from .plain_topology import Case, plain_loss, students_of, targets_of, teachers_of, tensors_of

BUDGETS = [1, 300, 2**19]
"""Rows one by one, something between, everything at once."""
CASES = [
    Case((4, 4), (4, 4)),
    Case((7, 5), (7, 5), layers=1, batch=3),
    Case((6, 6), (4, 4), group=2),
    Case((4, 4), (6, 6), heads=3),
    Case((5, 3), (4, 7), group=3),
    Case((12, 12), (8, 8), width=16, sharpness=6.0),
]


GRIDS = st.tuples(st.integers(1, 9), st.integers(1, 9))
ANY_CASE = st.builds(
    Case,
    source=GRIDS,
    grid=GRIDS,
    layers=st.integers(1, 3),
    heads=st.integers(1, 4),
    group=st.integers(1, 3),
    batch=st.integers(1, 3),
    width=st.sampled_from([1, 3, 8, 20]),
    sharpness=st.sampled_from([0.3, 2.0, 8.0]),
)
"""Grids that are no squares, groups of heads, one or several of everything."""


@pytest.fixture(params=BUDGETS)
def budget(request, monkeypatch) -> int:
    monkeypatch.setitem(fused_topology.BLOCK_ELEMENTS, "cpu", request.param)
    return request.param


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradient_are_those_of_the_plain_form(case: Case, budget: int) -> None:
    agrees(case)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(case=ANY_CASE, elements=st.sampled_from(BUDGETS))
def test_they_are_for_any_grids_heads_and_budget(case: Case, elements: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(fused_topology.BLOCK_ELEMENTS, "cpu", elements)
        agrees(case)


def agrees(case: Case) -> None:
    teachers, students = teachers_of(case), students_of(case)
    plain, fused = (
        plain_loss(case, teachers, students),
        fused_topology_loss(targets_of(case, teachers), students),
    )
    torch.testing.assert_close(fused, plain, atol=1e-5, rtol=1e-5)
    expected = torch.autograd.grad(plain, tensors_of(students))
    found = torch.autograd.grad(fused, tensors_of(students))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(
            one, other, atol=1e-5 * max(1e-3, other.abs().max().item()), rtol=1e-5
        )


@pytest.mark.parametrize(
    "case",
    [Case((2, 2), (2, 2), batch=1, width=2), Case((3, 2), (2, 3), 1, group=2, width=2)],
    ids=str,
)
def test_gradcheck_in_double(case: Case, budget: int) -> None:
    teachers, students = (
        teachers_of(case, dtype=torch.float64),
        students_of(case, dtype=torch.float64),
    )
    targets, scale = targets_of(case, teachers), students[0].scale

    def loss(*tensors: Tensor) -> Tensor:
        pairs = zip(tensors[::2], tensors[1::2], strict=True)
        return fused_topology_loss(
            targets, [QueryKeys(queries, keys, scale) for queries, keys in pairs]
        )

    assert torch.autograd.gradcheck(loss, tensors_of(students))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_divergences_by_layer_and_head_are_those_of_the_maps(case: Case, budget: int) -> None:
    teachers, students = teachers_of(case), students_of(case)
    maps = teacher_targets(
        [teacher.probabilities() for teacher in teachers], case.source, case.grid, case.heads
    )
    expected = [
        attention_divergence(t, s.logits()).mean((0, 2))
        for t, s in zip(maps, students, strict=True)
    ]
    found = topology_divergences(targets_of(case, teachers), students)
    assert not found.requires_grad
    torch.testing.assert_close(found, torch.stack(expected).detach(), atol=1e-5, rtol=1e-5)


def test_a_student_equal_to_its_teacher_has_no_divergence_and_no_gradient(budget: int) -> None:
    case = Case((5, 5), (5, 5))
    students = students_of(case)
    loss = fused_topology_loss(
        targets_of(case, tuple(student.detach() for student in students)), students
    )
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert max(tensor.grad.abs().max().item() for tensor in tensors_of(students)) < 1e-7


def test_probabilities_that_vanish_are_no_nan() -> None:
    """Logits 200 apart: the teacher's other probabilities are exactly zero in single precision."""
    case = Case((3, 3), (3, 3), layers=1, width=9, batch=1, heads=1)
    one_hot = QueryKeys(200 * torch.eye(9)[None, None], torch.eye(9)[None, None], 1.0)
    students = students_of(case)
    assert (one_hot.probabilities() == 0).any()
    loss = fused_topology_loss(targets_of(case, (one_hot,)), students)
    torch.testing.assert_close(loss, plain_loss(case, (one_hot,), students), atol=1e-5, rtol=1e-5)
    loss.backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in tensors_of(students))


def test_under_autocast_it_computes_in_single_precision_and_answers_in_the_students() -> None:
    case = Case((6, 6), (4, 4), group=2)
    teachers, drawn_students = teachers_of(case), students_of(case)
    students = [
        QueryKeys(
            s.queries.detach().bfloat16().requires_grad_(),
            s.keys.detach().bfloat16().requires_grad_(),
            s.scale,
        )
        for s in drawn_students
    ]
    single = [
        QueryKeys(s.queries.detach().float(), s.keys.detach().float(), s.scale) for s in students
    ]
    for tensor in tensors_of(single):
        tensor.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = fused_topology_loss(targets_of(case, teachers), students)
    expected = plain_loss(case, teachers, single)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    loss.backward()
    expected.backward()
    for one, other in zip(tensors_of(students), tensors_of(single), strict=True):
        assert one.grad.dtype == torch.bfloat16
        torch.testing.assert_close(one.grad, other.grad.bfloat16(), atol=1e-6, rtol=1e-2)


def test_layers_without_gradient_get_none_and_change_nothing_for_the_others() -> None:
    case = Case((4, 4), (4, 4), layers=3)
    teachers, students = teachers_of(case), students_of(case)
    mixed = [students[0].detach(), students[1], students[2].detach()]
    fused_topology_loss(targets_of(case, teachers), mixed).backward()
    (expected,) = torch.autograd.grad(plain_loss(case, teachers, students), students[1].keys)
    torch.testing.assert_close(students[1].keys.grad, expected, atol=1e-7, rtol=1e-4)
    assert students[0].queries.grad is None


def test_without_gradients_none_are_made(monkeypatch) -> None:
    case = Case((4, 4), (4, 4))
    teachers, students = teachers_of(case), students_of(case)
    asked = []
    walk = fused_topology._walk
    monkeypatch.setattr(
        fused_topology, "_walk", lambda *given: asked.append(given[-1]) or walk(*given)
    )
    with torch.no_grad():
        loss = fused_topology_loss(targets_of(case, teachers), students)
    assert not loss.requires_grad and not any(asked)


def test_several_backward_passes_over_one_graph_agree() -> None:
    case = Case((4, 4), (4, 4))
    teachers, students = teachers_of(case), students_of(case)
    loss = fused_topology_loss(targets_of(case, teachers), students)
    first = torch.autograd.grad(loss, tensors_of(students), retain_graph=True)
    second = torch.autograd.grad(3 * loss, tensors_of(students), retain_graph=True)
    for one, three in zip(first, second, strict=True):
        torch.testing.assert_close(three, 3 * one)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        (once,) = torch.autograd.grad(loss.square(), students[0].queries, create_graph=True)
        once.sum().backward()


def test_compilation_steps_around_it() -> None:
    case = Case((4, 4), (4, 4))
    teachers, students = teachers_of(case), students_of(case)
    targets = targets_of(case, teachers)
    compiled = torch.compile(
        lambda layers: 2 * fused_topology_loss(targets, layers), backend="eager"
    )
    torch.testing.assert_close(compiled(students), 2 * fused_topology_loss(targets, students))


class LargestTensor(TorchDispatchMode):
    """Numbers in the largest tensor that any operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        found = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.elements = max([self.elements, *found])
        return result


@pytest.mark.parametrize(("source", "grid"), [(16, 16), (24, 16), (32, 32), (12, 32)])
def test_no_tensor_is_as_large_as_a_map(source: int, grid: int, monkeypatch) -> None:
    """At the least budget one row of the grid of one image is formed: of N^2 numbers a head, N
    sqrt(N) (times what Psi overlaps)."""
    monkeypatch.setitem(fused_topology.BLOCK_ELEMENTS, "cpu", 1)
    case = Case((source, source), (grid, grid), layers=1, batch=2, width=4)
    teachers, students = teachers_of(case), students_of(case)
    fused_topology.topology_divergences(
        targets_of(case, teachers), students
    )  # the resizing matrices are made once
    with LargestTensor() as largest:
        fused_topology_loss(targets_of(case, teachers), students).backward()
    by_head = largest.elements / case.heads
    assert by_head < grid**4 and by_head <= 4 * max(grid, source) ** 3


def test_a_budget_bounds_the_largest_tensor_whatever_n(monkeypatch) -> None:
    monkeypatch.setitem(fused_topology.BLOCK_ELEMENTS, "cpu", 50_000)
    for side in (8, 16, 24, 32):
        case = Case((side, side), (side, side), layers=1, batch=4, width=4, heads=1)
        teachers, students = teachers_of(case), students_of(case)
        with LargestTensor() as largest:
            fused_topology_loss(targets_of(case, teachers), students).backward()
        assert largest.elements <= 50_000


class OnCuda(Tensor):
    """A tensor that says it lies on a GPU."""

    is_cuda = True


def test_torch_computes_unless_the_kernel_is_asked_for(monkeypatch) -> None:
    on_cuda = torch.zeros(1, 1, 1, 1).as_subclass(OnCuda)
    monkeypatch.delenv("MUSE_TRITON", raising=False)
    assert fused_topology.block_terms_for(on_cuda) is block_terms
    monkeypatch.setenv("MUSE_TRITON", "1")
    assert fused_topology.block_terms_for(torch.zeros(1, 1, 1, 1)) is block_terms
    assert fused_topology.block_terms_for(on_cuda.double()) is block_terms
    pytest.importorskip("triton")
    assert fused_topology.block_terms_for(on_cuda).__name__ == "triton_block_terms"


def test_what_does_not_fit_is_a_sentence() -> None:
    case = Case((4, 4), (4, 4), layers=3)
    teachers, students = teachers_of(case), students_of(case)
    with pytest.raises(MuseError, match="3 teacher layers cannot teach 2 student blocks"):
        fused_topology_loss(targets_of(case, teachers), students[:2])
    with pytest.raises(
        MuseError, match="target of 2 heads and 20 tokens cannot teach a student of 2 heads and 16"
    ):
        fused_topology_loss(topology_targets(teachers, (4, 4), (4, 5), 2), students)
    with pytest.raises(MuseError, match="teacher's 2 heads do not divide into the student's 3"):
        TopologyTarget(teachers[0], (4, 4), (4, 4), 3).grid_rows()
