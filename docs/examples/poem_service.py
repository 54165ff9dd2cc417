"""A judged capability of your own as an HTTP service: POST / writes a poem on the body, POST /judge
scores another agent's poem: a point for each word of the subject that it uses."""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def write(subject: bytes) -> bytes:
    return b"\n".join(b"O " + word + b", how I sing of thee!" for word in subject.split())


def judge(case: bytes) -> bytes:
    decoded = {key: base64.b64decode(value) for key, value in json.loads(case).items()}
    words = set(decoded["input"].split())
    used = sum(word in decoded["output"] for word in words)
    return b"%d" % (100 * used // max(1, len(words)))


class Poems(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(judge(body) if self.path == "/judge" else write(body))


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8766), Poems)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
