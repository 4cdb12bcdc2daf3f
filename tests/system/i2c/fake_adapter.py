"""A fake /dev/i2c-1 by umockdev: the ioctls of one process are answered by a chip server.

Run by the system's Python, which has umockdev's bindings:
``umockdev-wrapper /usr/bin/python3 fake_adapter.py SERVER_COMMAND -- CLIENT_COMMAND``.
The server gets one line of JSON per I2C_RDWR on stdin, a list of [address, "hex"] (write) and
[address, n] (read), and answers one line, {"errno": 0, "data": "hex"}.
"""

import json
import struct
import subprocess
import sys
import threading

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import GLib, UMockdev  # noqa: E402

I2C_FUNCS, I2C_RDWR = 0x705, 0x707
I2C_M_RD = 1
FUNC_I2C_AND_SMBUS_EMUL = 0x0EFF0009
DEVICE = """P: /devices/i2c-1/i2c-dev/i2c-1
N: i2c-1
E: DEVNAME=/dev/i2c-1
E: SUBSYSTEM=i2c-dev
E: MAJOR=89
E: MINOR=1
"""


def messages_of(arg):
    """The messages of an i2c_rdwr_ioctl_data (64-bit layout), and where their bytes go."""
    head = arg.resolve(0, 16)
    n_messages = struct.unpack_from("<QI", bytes(head.retrieve()))[1]
    array = head.resolve(0, 16 * n_messages)
    raw = bytes(array.retrieve())
    messages, buffers = [], []
    for i in range(n_messages):
        address, flags, length = struct.unpack_from("<HHH", raw, 16 * i)
        buffer = array.resolve(16 * i + 8, length)
        reading = flags & I2C_M_RD
        messages.append([address, length if reading else bytes(buffer.retrieve()).hex()])
        buffers.append(buffer if reading else None)
    return messages, buffers


def transfer(server, client):
    messages, buffers = messages_of(client.get_arg())
    server.stdin.write(json.dumps(messages) + "\n")
    server.stdin.flush()
    answer = json.loads(server.stdout.readline())
    if answer["errno"]:
        client.complete(-1, answer["errno"])
        return
    for buffer in buffers:
        if buffer is not None:
            buffer.update(0, bytes.fromhex(answer["data"]))
    client.complete(len(messages), 0)


def answer_ioctl(_base, client, server):
    request = client.get_request()
    if request == I2C_FUNCS:
        client.get_arg().resolve(0, 8).update(0, struct.pack("<Q", FUNC_I2C_AND_SMBUS_EMUL))
        client.complete(0, 0)
    elif request == I2C_RDWR:
        transfer(server, client)
    else:
        return False
    return True


def main():
    split = sys.argv.index("--")
    with subprocess.Popen(
        sys.argv[1:split], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        testbed = UMockdev.Testbed.new()
        testbed.add_from_string(DEVICE)
        handler = UMockdev.IoctlBase()
        handler.connect("handle-ioctl", answer_ioctl, server)
        testbed.attach_ioctl("/dev/i2c-1", handler)
        loop = GLib.MainLoop()
        threading.Thread(target=loop.run, daemon=True).start()
        code = subprocess.run(sys.argv[split + 1 :], check=False).returncode
        server.stdin.close()
    sys.exit(code)


main()
