#!/usr/bin/env bash
# Chromium, its driver, and fonts for all that the board shows: what the tests of the board's pages look with. It is no server:
# each test starts one of its own.  browser.sh install
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(chromium chromium-driver fonts-noto-core fonts-noto-cjk)

has_fonts() { fc-list ':lang=zh' family 2>/dev/null | grep -q .; }

install() {
  if command -v chromium >/dev/null && command -v chromedriver >/dev/null && has_fonts; then return; fi
  command -v apt-get >/dev/null || fail "the board's tests need chromium, chromedriver and a Chinese font, and apt to install them"
  local sudo=()
  if [ "$(id -u)" != 0 ]; then sudo=(sudo); fi
  "${sudo[@]}" apt-get update -q >&2
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" fontconfig >&2
}

case "${1:-}" in
  install) install ;;
  *) echo "usage: $0 install" >&2; exit 64 ;;
esac
