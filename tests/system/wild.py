"""Capabilities that go wrong, each in its own way; copied into the homes of nodes."""

import os
import time


def reverse(data):
    return data[::-1]


def crashes(data):
    os._exit(7)


def hangs(data):
    while True:
        time.sleep(3600)


def floods(data):
    return bytes(8 << 20)


def eats_memory(data):
    return bytes(len(bytearray(1 << 33)))
