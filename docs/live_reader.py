"""Prints the newest acceleration as it comes; usage: python live_reader.py ADDRESS."""

import sys

import msgspec
import numpy as np
import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1])  # ipc:///run/wban/live.sock
socket.subscribe(b"sample/accel")
while True:
    topic, packed = socket.recv_multipart()
    message = msgspec.msgpack.decode(packed)
    counts = np.frombuffer(message["data"], message["dtype"]).reshape(message["shape"])
    values = counts * message["scale_factor"] + message["add_offset"]
    print(message["first_index"], values[-1], message["units"], flush=True)
