"""On the PYTHONPATH of a devnet: every node writes down each frame that it reads.

Python imports this module in each process before anything else. Frames go to the folder
TAP_DIR, one file for each process: a 4-byte length, then the frame.
"""

import os

if "TAP_DIR" in os.environ:
    from node import router

    _decode = router.decode_frame
    _path = os.path.join(os.environ["TAP_DIR"], f"{os.getpid()}.frames")

    def _write_down(frame):
        with open(_path, "ab") as stream:
            stream.write(len(frame).to_bytes(4) + frame)
        return _decode(frame)

    router.decode_frame = _write_down
