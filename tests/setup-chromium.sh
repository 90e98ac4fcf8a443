#!/usr/bin/env bash
# Chromium for tests/integration/test_report_browser.py: does nothing where it is there or cannot be installed.
set -euo pipefail
for name in chromium chromium-browser google-chrome-stable google-chrome chrome; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "no Chromium here, and not root with apt: the report's browser tests are skipped" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium >/dev/null
