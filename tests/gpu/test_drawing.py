from __future__ import annotations

import io
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from sparkwater.gpu.inspection.describe import describe_network
from sparkwater.gpu.inspection.drawing import Node, draw_png, draw_svg, graphviz_source

NODES = [
    Node("a", "a & <b>", (), False),
    Node("b", '"quoted" \\ label', ("a",), True),
    Node("c", "c", ("b",), False),
    Node("d", "d", ("a", "c"), True),
]
SVG = "{http://www.w3.org/2000/svg}"
TINT = (0xDB, 0xE9, 0xF6)


@pytest.fixture
def without_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_without_graphviz_an_svg_has_a_box_a_label_and_an_arrow_each(without_graphviz: None) -> None:
    svg = draw_svg(NODES)
    assert texts(svg) == [node.label for node in NODES]
    root = ElementTree.fromstring(svg)
    boxes = [element for element in root.iter(f"{SVG}rect") if "rx" in element.attrib]
    assert [box.attrib["fill"] for box in boxes] == ["#ffffff", "#dbe9f6", "#ffffff", "#dbe9f6"]
    lines = [
        [tuple(map(int, point.split(","))) for point in element.attrib["points"].split()]
        for element in root.iter(f"{SVG}polyline")
    ]
    bottoms = [int(box.attrib["y"]) + int(box.attrib["height"]) for box in boxes]
    straight = [line for line in lines if len(line) == 2]
    assert [(line[0][1], line[1][1]) for line in straight] == [
        (bottoms[place], int(boxes[place + 1].attrib["y"])) for place in range(3)
    ]
    # From a to d, around the boxes between them.
    (around,) = [line for line in lines if len(line) > 2]
    right = int(boxes[0].attrib["x"]) + int(boxes[0].attrib["width"])
    assert around[0][0] == around[-1][0] == right
    assert min(x for x, _ in around[1:-1]) > right
    assert int(boxes[0].attrib["y"]) < around[0][1] < bottoms[0]
    assert int(boxes[3].attrib["y"]) < around[-1][1] < bottoms[3]


def test_without_graphviz_a_png_shows_boxes_of_layers_with_weights_in_colour(without_graphviz: None) -> None:
    image = Image.open(io.BytesIO(draw_png(NODES)))
    assert image.format == "PNG"
    colours = {colour: count for count, colour in image.getcolors(1 << 20) or []}
    assert colours[TINT] > 1000
    # Nothing but text is as dark: lines are #555555.
    assert sum(count for colour, count in colours.items() if max(colour) < 0x50) > 20
    plain = Image.open(io.BytesIO(draw_png([Node("a", "a", (), False)])))
    assert TINT not in {colour for _, colour in plain.getcolors(1 << 20) or []}


def test_arrows_beside_each_other_do_not_share_a_lane(without_graphviz: None) -> None:
    nodes = [Node(str(place), "box", (), False) for place in range(5)]
    crossing = [*nodes[:3], Node("3", "box", ("0",), False), Node("4", "box", ("1",), False)]
    following = [*nodes[:2], Node("2", "box", ("0",), False), nodes[3], Node("4", "box", ("2",), False)]
    for graph, lanes in ((crossing, 2), (following, 1)):
        lines = ElementTree.fromstring(draw_svg(graph)).iter(f"{SVG}polyline")
        assert len({line.attrib["points"].split()[1].split(",")[0] for line in lines}) == lanes


def test_a_network_is_drawn_with_its_input_and_all_its_layers(without_graphviz: None) -> None:
    description = describe_network("convnet", (3, 32, 32))
    labels = texts(description.to_svg())
    assert labels[0] == "input   3 x 32 x 32"
    assert labels[1] == "conv1.conv   Conv2d   32 x 32 x 32"
    assert len(labels) == len(description.layers) + 1
    assert Image.open(io.BytesIO(description.to_png())).height > 20 * len(labels)


def test_a_graphviz_that_fails_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "dot"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert texts(draw_svg(NODES)) == [node.label for node in NODES]


def test_graphvizs_source_has_every_box_and_arrow_with_quotes_escaped() -> None:
    lines = graphviz_source(NODES).splitlines()
    assert (lines[0], lines[-1]) == ("digraph {", "}")
    arrows = ['"a" -> "b"', '"b" -> "c"', '"a" -> "d"', '"c" -> "d"']
    assert [line for line in lines if "->" in line] == arrows
    assert r""""b" [label="\"quoted\" \\ label", fillcolor="#dbe9f6"]""" in lines


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_the_graph() -> None:
    assert sorted(texts(draw_svg(NODES))) == sorted(node.label for node in NODES)
    assert Image.open(io.BytesIO(draw_png(NODES))).format == "PNG"
