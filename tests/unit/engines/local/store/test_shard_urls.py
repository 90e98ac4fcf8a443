"""URL files of shards are written before they run out."""

import stat

from fedjob.engines.local.store.shard_urls import RENEW_AFTER, ShardUrls


class Bucket:
    count = 0

    def presign_get(self, key, seconds):
        self.count += 1
        return f"http://store/{key}?{self.count}&{seconds}"


def test_files_are_written_at_first_and_when_half_of_the_lifetime_is_over(tmp_path):
    path = tmp_path / "urls" / "worker-0"
    urls = ShardUrls(Bucket(), {path: "shards/a.zip"})
    assert urls.renew(now=0.0)
    assert path.read_text() == "http://store/shards/a.zip?1&3600"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "a URL is a key to the shard"
    assert not urls.renew(now=RENEW_AFTER - 1)
    assert urls.renew(now=RENEW_AFTER)
    assert path.read_text().endswith("?2&3600")
    assert [each.name for each in path.parent.iterdir()] == ["worker-0"]
