"""Has a server become of this program's place: `launch.py SOCKET PID_FILE ARGUMENT ...`; see `servers_ahead`.

It loads next to nothing (10 ms), passes on what it is told by signals, and ends as the server does.
"""

import array
import json
import os
import signal
import socket
import sys

WORD = 4
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def word_of(connection: socket.socket) -> bytes:
    """The next word of the other end; nothing when it is gone."""
    data = b""
    while len(data) < WORD and (more := connection.recv(WORD - len(data))):
        data += more
    return data


def main(path: str, pid_file: str, argv: list[str]) -> int:
    """Ask for a server and wait for its end; returns its exit code."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    said = json.dumps(
        {
            "argv": argv,
            "environment": dict(os.environ),
            "directory": os.getcwd(),  # noqa: PTH109 - pathlib is a third of our start
            "pid_file": pid_file,
        }
    ).encode()
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    descriptors = array.array("i", [0, 1, 2]).tobytes()
    sent = connection.sendmsg(
        [len(said).to_bytes(WORD, "big") + said], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
    )
    connection.sendall((len(said).to_bytes(WORD, "big") + said)[sent:])
    pid = int.from_bytes(word_of(connection), "big")
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: os.kill(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    # What it reads and writes is the server's alone: an end that nobody else holds is seen as one.
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    code = word_of(connection)
    return int.from_bytes(code, "big", signed=True) if code else 70


if __name__ == "__main__":
    ended = main(sys.argv[1], sys.argv[2], sys.argv[3:])
    if ended < 0:  # by a signal, so this ends by it, too
        if -ended != signal.SIGKILL:
            signal.signal(-ended, signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
    os._exit(ended)
