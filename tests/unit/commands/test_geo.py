"""Places. The machine beside a real Redis plays most of it; here is what it leans on."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from trimaran.cluster.settings import DEFAULTS
from trimaran.node.data.geohash import (
    Circle,
    Point,
    Square,
    distance,
    point_of,
    score_of,
    square_of,
    squares_around,
    text_of,
)
from trimaran.proto.reply import DecimalReply, ErrorReply
from trimaran.proto.resp import encode_reply

from ...model.driver import Driver

PALERMO, CATANIA = (13.361389, 38.115556), (15.087269, 37.502669)


@pytest.fixture
def sicily() -> Driver:
    shard = Driver()
    shard.run("GEOADD", "s", *map(str, PALERMO), "Palermo")
    shard.run("GEOADD", "s", *map(str, CATANIA), "Catania")
    return shard


def test_scores_and_distances_are_those_of_redis(sicily: Driver) -> None:
    assert sicily.run("ZSCORE", "s", "Palermo") == 3479099956230698.0
    assert sicily.run("GEODIST", "s", "Palermo", "Catania") == b"166274.1516"
    assert sicily.run("GEODIST", "s", "Palermo", "Catania", "mi") == b"103.3182"
    assert sicily.run("GEOHASH", "s", "Palermo", "absent") == [b"sqc8b49rny0", None]


NUMBERS = ("13.3", "-0", "180", "-180.0", ".5", "5.", "-.25", "0013.361389", "-85.05112878", "86",
           "1.5e1", "180.1", "00000000000000000001", "13.3613890000000000000000001")  # fmt: skip
WRITTEN = (*NUMBERS, "-", ".", "", "1-2", "1.2.3", "nan", "1_0", " 1")


@pytest.mark.parametrize("longitude", WRITTEN)
def test_a_lone_place_is_read_as_one_beside_options_is(longitude: str) -> None:
    shard = Driver()
    for latitude in WRITTEN:
        alone = shard.run("GEOADD", "alone", longitude, latitude, "m")
        beside = shard.run("GEOADD", "beside", "NX", longitude, latitude, "m")
        assert alone == beside
        assert shard.run("ZSCORE", "alone", "m") == shard.run("ZSCORE", "beside", "m")
        shard.run("DEL", "alone", "beside")


def test_coordinates_are_printed_without_an_exponent(sicily: Driver) -> None:
    reply = sicily.run("GEOPOS", "s", "Palermo")
    assert reply == [[DecimalReply(13.361389338970184), DecimalReply(38.1155563954963)]]
    assert encode_reply(reply, 2).split(b"\r\n")[3:6:2] == [
        b"13.36138933897018433",
        b"38.11555639549629859",
    ]
    assert encode_reply(reply, 3).split(b"\r\n")[2] == b",13.36138933897018433"
    assert encode_reply(DecimalReply(-1e-7), 2) == b"$10\r\n-0.0000001\r\n"
    assert encode_reply(DecimalReply(-0.0), 2) == b"$1\r\n0\r\n"


def test_a_place_comes_back_within_a_metre() -> None:
    rng = Random(2)
    for _ in range(500):
        point = (rng.random() * 360 - 180, rng.random() * 170 - 85)
        found = point_of(float(score_of(*point)))
        assert distance(point, found) < 1
        assert len(text_of(found)) == 11


def test_squares_cover_every_circle() -> None:
    rng = Random(3)
    for _ in range(400):
        middle = (rng.random() * 300 - 150, rng.random() * 130 - 65)
        radius = 10 ** (rng.random() * 5 + 0.5)
        circle = Circle(middle, radius, 1.0)
        squares = list(squares_around(circle))
        assert len(squares) <= 9
        assert len(dict.fromkeys(squares)) == len(squares)
        for _ in range(20):
            reach = radius / 100_000
            point = (
                middle[0] + (rng.random() * 2 - 1) * reach,
                middle[1] + (rng.random() * 2 - 1) * reach,
            )
            if circle.distance_within(point) is not None:
                score = score_of(*point)
                assert any(low <= score < high for low, high in (one.scores for one in squares))


def test_the_map_is_round() -> None:
    west = square_of((-179.9, 10.0), 8)
    assert west.moved(-1, 0) == square_of((179.9, 10.0), 8)
    assert west.moved(1, 0).moved(-1, 0) == west
    assert Square(west.bits, 8).edges[0] == -180


def test_a_search_costs_what_is_near(sicily: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(4)
    words = [
        word
        for number in range(3000)
        for word in (str(rng.random() * 140 - 150), str(rng.random() * 160 - 80), f"p{number}")
    ]
    sicily.run("GEOADD", "s", *words)
    looks: list[float] = []

    def counted(score: float) -> Point:
        looks.append(score)
        return point_of(score)

    monkeypatch.setattr("trimaran.node.commands.geo.point_of", counted)
    asked = ["FROMLONLAT", "15", "37", "BYRADIUS", "200", "km"]
    assert sicily.run("GEOSEARCH", "s", *asked, "ASC") == [b"Catania", b"Palermo"]
    assert len(looks) == 2
    looks.clear()
    found = sicily.run("GEORADIUS", "s", -80, 0, 5_000, "km", "COUNT", 10, "ANY")
    assert isinstance(found, list)
    assert len(found) == 10
    assert len(looks) < 300


def test_what_is_found_can_be_stored_with_its_distance(sicily: Driver) -> None:
    asked = ["FROMMEMBER", "Palermo", "BYBOX", "400", "400", "km"]
    assert sicily.run("GEOSEARCHSTORE", "t", "s", *asked) == 2
    assert sicily.run("ZSCORE", "t", "Palermo") == 3479099956230698.0
    assert sicily.run("GEOSEARCHSTORE", "t", "s", *asked, "STOREDIST") == 2
    assert sicily.run("ZRANGE", "t", 0, -1) == [b"Palermo", b"Catania"]
    assert sicily.run("ZSCORE", "t", "Palermo") == 0.0
    assert sicily.run("GEORADIUS", "s", 100, 0, 1, "m", "STORE", "t") == 0
    assert sicily.run("EXISTS", "t") == 0


def test_a_search_needs_one_middle_and_one_shape(sicily: Driver) -> None:
    def refusal(*args: str) -> str:
        reply = sicily.run("GEOSEARCH", "s", *args)
        assert isinstance(reply, ErrorReply)
        return reply.text

    assert refusal("BYRADIUS", "1", "m", "ASC", "DESC") == (
        "exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH"
    )
    assert refusal("FROMLONLAT", "1", "1", "ASC", "DESC") == (
        "exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH"
    )
    middle = ["FROMLONLAT", "1", "1"]
    assert refusal(*middle, "FROMMEMBER", "Palermo") == "syntax error"
    assert refusal(*middle, "BYRADIUS", "1", "m", "ANY") == (
        "the ANY argument requires COUNT argument"
    )


def test_events_are_told_as_redis_tells_them(sicily: Driver) -> None:
    sicily.settings = replace(DEFAULTS, notify_keyspace_events="AKE")
    sicily.events.clear()
    sicily.run("GEOADD", "s", 1, 1, "x")
    sicily.run("GEOSEARCHSTORE", "t", "s", "FROMLONLAT", 1, 1, "BYRADIUS", 1, "km")
    sicily.run("GEORADIUS", "s", 1, 1, 1, "km", "STOREDIST", "u")
    sicily.run("GEORADIUSBYMEMBER", "absent", "x", 1, "km", "STORE", "u")
    told = [(event, key) for _, event, key in sicily.events]
    assert told == [
        ("zadd", b"s"),
        ("geosearchstore", b"t"),
        ("georadiusstore", b"u"),
        ("del", b"u"),
    ]


def test_searches_have_bounds(sicily: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["FROMLONLAT", "15", "37", "BYRADIUS", "200", "km"]
    monkeypatch.setattr("trimaran.node.commands.geo.STORED_MAX", 1)
    assert sicily.run("GEOSEARCHSTORE", "t", "s", *asked) == ErrorReply(
        "ERR", "more than 1 members would be stored"
    )
    assert sicily.run("EXISTS", "t") == 0
    monkeypatch.setattr("trimaran.node.commands.geo.LOOKS_MAX", 1)
    assert isinstance(sicily.run("GEOSEARCH", "s", *asked), ErrorReply)
    assert sicily.run("GEOSEARCH", "s", *asked, "COUNT", "1", "ANY") == [b"Palermo"]


def test_a_search_for_any_is_bounded_by_what_it_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Driver()
    for number in range(20):
        shard.run("GEOADD", "g", "1.001", "1.001", f"m{number}")
    monkeypatch.setattr("trimaran.node.commands.geo.LOOKS_MAX", 10)
    search = ("GEOSEARCH", "g", "FROMLONLAT", "1", "1", "BYRADIUS")
    reply = shard.run(*search, "140", "m", "COUNT", "1", "ANY")
    assert isinstance(reply, ErrorReply)
    assert reply.text.startswith("10 members are near, and not enough")
    assert shard.run(*search, "1", "km", "COUNT", "1", "ANY") == [b"m0"]
