"""A receiver of commit statuses at an outside address: it prints each request as a line of JSON."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Hub(BaseHTTPRequestHandler):
    """Takes everything."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = {"path": self.path, "token": self.headers["Authorization"], "body": json.loads(body)}
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()
        print(json.dumps(said), flush=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing else."""


if __name__ == "__main__":
    server = HTTPServer((sys.argv[1], int(sys.argv[2])), Hub)
    print(json.dumps("listening"), flush=True)
    server.serve_forever()
