"""`genet5 push`, against a stand-in for the Hub's server."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from genet5.cli.push import main
from genet5.model.card_page import model_page
from genet5.model.folders import SHIPPED
from genet5.model.hub import model_files


@dataclass
class Hub:
    """What the server got."""

    address: str = ""
    created: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str | None] = field(default_factory=set)
    refuses: bool = False


class Handler(BaseHTTPRequestHandler):
    """The parts of the Hub's API that a commit needs."""

    hub: Hub

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, values: object, status: int = 200) -> None:
        text = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def content(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def do_PUT(self) -> None:
        self.hub.uploads[self.path.rpartition("/")[2]] = self.content()
        self.answer({})

    def do_POST(self) -> None:
        body = self.content()
        if self.path == "/api/validate-yaml":
            self.answer({})
            return
        self.hub.tokens.add(self.headers["Authorization"])
        routes = {
            "/api/repos/create": self.create,
            "/api/models/user/model/preupload/main": self.choose_modes,
            "/user/model.git/info/lfs/objects/batch": self.offer_uploads,
            "/api/models/user/model/commit/main": self.commit,
        }
        if self.hub.refuses:
            self.answer({"error": "no write access"}, 403)
        else:
            routes[self.path](body)

    def create(self, body: bytes) -> None:
        self.hub.created = json.loads(body)
        self.answer({"url": f"{self.hub.address}/user/model", "name": "user/model"})

    def choose_modes(self, body: bytes) -> None:
        modes = {True: "lfs", False: "regular"}
        names = [each["path"] for each in json.loads(body)["files"]]
        chosen = [(name, modes[name.endswith("safetensors")]) for name in names]
        files = [{"path": n, "uploadMode": mode, "shouldIgnore": False} for n, mode in chosen]
        self.answer({"files": files})

    def offer_uploads(self, body: bytes) -> None:
        objects = json.loads(body)["objects"]
        for each in objects:
            href = f"{self.hub.address}/upload/{each['oid']}"
            each["actions"] = {"upload": {"href": href, "header": {}}}
        self.answer({"transfer": "basic", "objects": objects})

    def commit(self, body: bytes) -> None:
        for line in map(json.loads, body.decode().splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.hub.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.hub.files[value["path"]] = self.hub.uploads[value["oid"]]
        commit = f"{self.hub.address}/user/model/commit/1"
        self.answer({"commitUrl": commit, "commitOid": "1"})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A model with what a run leaves beside it."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "annotate.json", "card.json"):
        shutil.copy(SHIPPED / "nano" / name, folder)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "checkpoints").mkdir()
    for name in ("run.json", "metrics.jsonl", "finet.log"):
        (folder / name).write_text("private")
    return folder


MODEL = {
    *("README.md", "config.json", "tokenizer.json", "annotate.json", "card.json"),
    "model.safetensors",
}


def test_a_model_is_published_in_a_private_repository(
    hub: Hub, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run_folder), "user/model"]) == 0
    assert hub.created["visibility"] == "private"
    assert hub.tokens == {"Bearer hf_secret"}
    assert hub.files.keys() == MODEL
    assert hub.files["model.safetensors"] == b"weights"
    assert hub.files["config.json"] == (run_folder / "config.json").read_bytes()
    assert b"license: apache-2.0" in hub.files["README.md"]
    shown = capsys.readouterr().out
    assert shown.endswith(f"{hub.address}/user/model\n")
    assert "hf_secret" not in shown


def test_a_dry_run_lists_the_files_and_calls_nobody(
    hub: Hub, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run_folder), "user/model", "--dry_run", "--public"]) == 0
    assert {line.split()[-1] for line in capsys.readouterr().out.splitlines()} == MODEL
    assert not hub.tokens


@pytest.mark.parametrize(
    ("repo_id", "token", "expected"),
    [
        ("user/model", None, "HF_TOKEN"),
        ("a/b/c", "hf_secret", "must look like user/model"),
    ],
)
def test_wrong_usage_is_one_line(
    hub: Hub,
    run_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    repo_id: str,
    token: str | None,
    expected: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
    assert main([str(run_folder), repo_id]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_refusal_of_the_server_is_one_line(
    hub: Hub, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuses = True
    assert main([str(run_folder), "user/model"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("genet5 push: user/model could not be published: ")


def test_a_folder_without_weights_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "user/model", "--dry_run"]) == 1
    assert "Give a folder with config.json and model.safetensors" in capsys.readouterr().err


def test_the_page_states_the_cards_figures_and_limits(run_folder: Path) -> None:
    page = model_page(run_folder, "user/model")
    assert page.startswith("---\nlibrary_name: genet5\n")
    assert "--model user/model" in page
    assert "| measure | genomes | value | peer | source |" in page
    assert "## Limits\n\n- " in page


def test_a_page_in_the_folder_goes_before_the_card() -> None:
    page = model_files(SHIPPED / "nano", "user/model")["README.md"]
    assert isinstance(page, bytes)
    assert b"# Model card: nano" in page


def test_without_a_card_nothing_is_claimed(run_folder: Path) -> None:
    (run_folder / "card.json").unlink()
    assert "figures and limits are not stated" in model_page(run_folder, "user/model")
