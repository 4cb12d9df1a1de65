"""One fork after the other, as pools do it, beside a thread that goes on using the client."""

from __future__ import annotations

import os
import sys
import threading
import time

import trimaran

FORKS = 6
client = trimaran.SyncClient(sys.argv[1])
client.set("forked", 0)
is_over = threading.Event()
done = 0


def go_on() -> None:
    global done
    while not is_over.is_set():
        client.incr("by the thread")
        done += 1


def fork(count: int) -> None:
    children = []
    for number in range(count):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                client.incr("forked")
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
        time.sleep(0.03 * (number % 2))
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * count


fork(FORKS)
assert int(client.get("forked")) == FORKS
thread = threading.Thread(target=go_on)
thread.start()
fork(FORKS)
is_over.set()
thread.join()
assert int(client.get("forked")) == 2 * FORKS
assert int(client.get("by the thread")) == done
client.close()
print("passed")
