"""ioredis and node-redis, single and cluster clients, given either door of any node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .running import node_script

if TYPE_CHECKING:
    from .running import Doors

pytestmark = pytest.mark.usefixtures("_emptied")


@pytest.mark.parametrize("script", ["ioredis.cjs", "node_redis.cjs"])
def test_a_client_for_node_js_works_at_both_doors(doors: Doors, script: str) -> None:
    node_script(script, json.dumps({"anyKey": doors.any_key, "cluster": doors.cluster}))
