# Puts and gets of many sizes, and many at a time, by gRPC's core in C. Argument: host:port.

import os
import sys

import grpc

SIZES = [1, 100, 5_000, 16_384, 65_535, 70_000, 300_000, 1_000_000]
OPTIONS = [
    [],
    [('grpc.http2.max_frame_size', 2**24 - 1)],
    [('grpc.http2.bdp_probe', 0), ('grpc.http2.lookahead_bytes', 1_024)],
]


def varint(number):
    digits = b''
    while number >= 128:
        digits += bytes([number & 127 | 128])
        number >>= 7
    return digits + bytes([number])


def field(number, value):
    return bytes([number << 3 | 2]) + varint(len(value)) + value


for options in OPTIONS:
    own = [('grpc.max_receive_message_length', -1), ('grpc.use_local_subchannel_pool', 1)]
    channel = grpc.insecure_channel(sys.argv[1], options=options + own)
    put = channel.unary_unary('/etcdserverpb.KV/Put')
    get = channel.unary_unary('/etcdserverpb.KV/Range')
    for size in SIZES:
        value = os.urandom(size)
        put(field(1, b'k') + field(2, value))
        assert value in get(field(1, b'k')), size
    calls = [put.future(field(1, b'c%d' % at) + field(2, b'v' * 500)) for at in range(1_000)]
    for call in calls:
        call.result()
    calls = [get.future(field(1, b'k')) for _ in range(100)]
    assert all(value in call.result() for call in calls)
    print('well')
