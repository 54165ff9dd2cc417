"""Frames on a byte stream: a 4-byte big-endian length, then that many bytes. No I/O here."""

from collections import deque

FRAME_BYTES_MAX = 4 * 1024 * 1024  # refused before anything is allocated for it
QUEUE_FRAMES_MAX = 16_384
QUEUE_BYTES_MAX = 16 * 1024 * 1024
WRITE_BYTES_MAX = 256 * 1024  # frames joined into one write
_LENGTH_BYTES = 4


class FrameViolation(Exception):
    """The peer announced a frame of no bytes, or of too many."""


class FrameSplitter:
    """Cuts received chunks into frames; holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_partial(self) -> bool:
        """A frame has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that `chunk` completes. Raises FrameViolation."""
        buffer = self._buffer
        buffer += chunk
        frames, at, end = [], 0, len(buffer)
        while end - at >= _LENGTH_BYTES:
            size = int.from_bytes(buffer[at : at + _LENGTH_BYTES])
            if not 0 < size <= FRAME_BYTES_MAX:
                raise FrameViolation(f"a frame of {size} bytes, allowed are 1 to {FRAME_BYTES_MAX}")
            start = at + _LENGTH_BYTES
            if end - start < size:
                break
            at = start + size
            frames.append(bytes(buffer[start:at]))
        del buffer[:at]
        return frames


class OutQueue:
    """Frames waiting for one peer, bounded in count and bytes."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: bytes) -> bool:
        """False when the queue is full. Raises ValueError for a frame nobody would accept."""
        if not 0 < len(frame) <= FRAME_BYTES_MAX:
            raise ValueError(f"a frame has 1 to {FRAME_BYTES_MAX} bytes, this one {len(frame)}")
        if len(self._frames) >= QUEUE_FRAMES_MAX or self.bytes + len(frame) > QUEUE_BYTES_MAX:
            return False
        self._frames.append(frame)
        self.bytes += len(frame)
        return True

    def take(self) -> tuple[bytes, int]:
        """Bytes for one write (at least one frame, else about WRITE_BYTES_MAX) and their frames."""
        parts: list[bytes] = []
        size = 0
        while self._frames and (not parts or size + len(self._frames[0]) < WRITE_BYTES_MAX):
            frame = self._frames.popleft()
            self.bytes -= len(frame)
            parts += (len(frame).to_bytes(_LENGTH_BYTES), frame)
            size += len(frame) + _LENGTH_BYTES
        return b"".join(parts), len(parts) // 2

    def clear(self) -> int:
        """Drop everything; how many frames that were."""
        count = len(self._frames)
        self._frames.clear()
        self.bytes = 0
        return count
