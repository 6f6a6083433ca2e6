"""The archive that volumes are filled with."""

from __future__ import annotations

import io
import tarfile

from ws_mcp.core.engine.fill import file_entry, tar_of


def test_an_archive_ends_where_the_format_says_and_is_padded_no_further() -> None:
    content = b"x" * 600
    archive = tar_of(file_entry("a", content, mode=0o755), file_entry("b", b"", mode=0o644))
    assert len(archive) == 512 + 1024 + 512 + 2 * 512
    assert tar_of() == bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert [(member.name, member.size, member.mode) for member in tar] == [("a", 600, 0o755), ("b", 0, 0o644)]
