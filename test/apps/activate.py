# SPDX-License-Identifier: BSD-2-Clause
"""activate.py SOCKET COMMAND...: what systemd does for attestd.socket and
attestd.service: it has the socket, hands it to the agent (sd_listen_fds(3)) and
starts the agent again half a second after it died."""
import os
import signal
import socket
import subprocess
import sys
import time

RESTART_SECONDS = 0.5
LISTEN_FDS_START = 3

path, command = sys.argv[1], sys.argv[2:]
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(path)
os.chmod(path, 0o666)
listener.listen(4096)
if listener.fileno() != LISTEN_FDS_START:
    os.dup2(listener.fileno(), LISTEN_FDS_START)
os.set_inheritable(LISTEN_FDS_START, True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def start():
    """An agent that is started is known: no signal comes in between."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    return subprocess.Popen(
        ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *command],
        pass_fds=[LISTEN_FDS_START],
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]))


agent = None
try:
    while True:
        agent = start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        agent.wait()
        time.sleep(RESTART_SECONDS)
finally:
    if agent:
        agent.terminate()
        agent.wait()
