from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_theory.errors import InputError
from automl_theory.graphs.code import code_graph, code_string, graph_code, parse_code
from automl_theory.graphs.dag import CellGraph, metrics


def codes(nodes: int) -> st.SearchStrategy[str]:
    return st.tuples(*(st.text("012", min_size=t, max_size=t) for t in range(1, nodes + 1))).map("_".join)


ANY = st.integers(1, 6).flatmap(codes)


@settings(deadline=None)
@given(ANY)
def test_parse_string_and_graph_are_inverses(code: str) -> None:
    parsed = parse_code(code)
    assert code_string(parsed) == code
    assert graph_code(code_graph(parsed)) == parsed
    assert parse_code(code, len(parsed)) == parsed


def test_what_a_code_says() -> None:
    assert parse_code("2_01_102") == ((2,), (0, 1), (1, 0, 2))
    graph = code_graph(parse_code("2_01_102"))
    assert graph.nodes == 4
    assert [tuple(edge) for edge in graph.edges] == [(0, 1, 1), (1, 2, 0), (0, 3, 0), (2, 3, 1)]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "is empty; expected one such as '2_22_222'"),
        (None, "such as '2_22_222', got NoneType"),
        (3, "got int"),
        (b"2_02_002", "got bytes"),
        ("2_02_003", "position 7, unknown operation '3'; known: 0 zero, 1 skip, 2 linear"),
        ("2_a2_002", "position 2, unknown operation 'a'"),
        ("2_02 _002", r"position 4, expected '_' or the end after the 2 edges of node 2, found ' '"),
        (" 2_02_002", "position 0, unknown operation ' '"),
        ("2_02_002\n", r"position 8, expected '_' or the end .*found '\\n'"),
        ("22_02_002", "position 1, expected '_' or the end after the 1 edge of node 1, found '2'"),
        ("2_0_002", r"position 3, expected edge 1>2 \(node 2 has 2 edges\), found '_'"),
        ("2_02_00", r"position 7, expected edge 2>3 \(node 3 has 3 edges\), found the end"),
        ("2__002", r"position 2, expected edge 0>2 \(node 2 has 2 edges\), found '_'"),
        ("_02_002", r"position 0, expected edge 0>1 \(node 1 has 1 edge\), found '_'"),
        (
            "2_02",
            "position 4, expected '_' and the edges into node 3, found the end; a cell of 3 nodes after the input",
        ),
        ("2_02_", r"position 5, expected edge 0>3 \(node 3 has 3 edges\), found the end"),
        ("2_02_002_0002", "position 8, there is trailing text '_0002'; a cell of 3 nodes after the input has 3 groups"),
        ("٢_02_002", "position 0, unknown operation"),
    ],
)
def test_bad_codes_are_explained(code: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse_code(code, 3)


EVERY = {"_".join(("".join(d[:1]), "".join(d[1:3]), "".join(d[3:]))) for d in product("012", repeat=6)}


@settings(deadline=None)
@given(st.text() | st.text("012_", max_size=9), st.integers(0, 8), st.text("0123_ ", max_size=2))
def test_nothing_else_is_accepted(text: str, start: int, insert: str) -> None:
    for code in (text, "2_02_002"[:start] + insert + "2_02_002"[start + 1 :]):
        if code in EVERY:
            assert code_string(parse_code(code, 3)) == code
        else:
            with pytest.raises(InputError):
                parse_code(code, 3)


def test_a_graph_of_thicker_edges_has_no_code() -> None:
    with pytest.raises(InputError, match="edge 0>1 has 2 trainable layers"):
        graph_code(CellGraph(2, [(0, 1, 2)]))


@pytest.mark.parametrize("nodes", [1, 2, 3, 8, 12])
def test_path_statistics_of_the_fullest_cell_need_no_enumeration(nodes: int) -> None:
    """All edges linear: one path for every set of inner nodes, of one edge more than nodes."""
    measured = metrics(code_graph(parse_code("_".join("2" * t for t in range(1, nodes + 1)))))
    inner = nodes - 1
    assert measured["paths"] == 2**inner
    assert measured["effective_depth"] == 1 + inner / 2
    assert measured["effective_width"] == 2**inner / (1 + inner / 2)
    assert (measured["min_depth"], measured["max_depth"]) == (1, nodes)
