"""The folder that tells of a cluster, beside reports of tests."""

from pathlib import Path

import pytest

from berth_dev.cluster import certificates, install
from berth_dev.cluster.install import Target


def test_a_cluster_is_forgotten_and_reports_of_tests_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "ENVIRONMENT", tmp_path)
    report = tmp_path / "all" / "1f3d" / "outcomes"
    report.parent.mkdir(parents=True)
    report.write_text("passed", encoding="ascii")
    certificate = certificates.ensure(tmp_path / "tls", ["198.18.0.11"])
    program = Path("/bin/true")
    install.write_environment(Target(tmp_path / "kubeconfig", "https://198.18.0.11", program, program, (), certificate))
    assert "KUBECONFIG" in (tmp_path / "env").read_text(encoding="utf-8")
    for _ in range(2):
        install.forget()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [report]
        assert [path.name for path in tmp_path.iterdir()] == ["all"]
