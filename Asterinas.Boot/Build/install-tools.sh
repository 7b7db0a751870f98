#!/usr/bin/env bash
# Installs Debian packages as root or through passwordless sudo; otherwise says what to type. Called by Tools.targets.
set -u
if [ "$(id -u)" = 0 ]; then run=(env); elif sudo -n true 2>/dev/null; then run=(sudo -n); else
    echo "error ASTERINAS001: programs are missing. Type: sudo apt-get install $*" >&2
    exit 1
fi
log=$(mktemp)
if "${run[@]}" apt-get update >"$log" 2>&1 &&
    "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@" >>"$log" 2>&1; then
    rm -f "$log"
else
    tail -5 "$log" >&2
    echo "error ASTERINAS001: installation failed. Type: sudo apt-get install $*" >&2
    exit 1
fi
