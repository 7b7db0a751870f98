#!/usr/bin/env bash
# fetch-busybox.sh FOLDER: Debian's busybox-static, unpacked into FOLDER. Needs no rights: apt-get download and dpkg-deb do without.
set -u
folder=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
fetch() { apt-get download busybox-static >log 2>&1 && ls busybox-static_*.deb >/dev/null 2>&1; }
# A machine whose package lists are empty needs them first, which only root can change.
if ! fetch; then
    if [ "$(id -u)" = 0 ]; then apt-get update >log 2>&1; elif sudo -n true 2>/dev/null; then sudo -n apt-get update >log 2>&1; fi
    if ! fetch; then
        tail -3 log >&2
        echo "error ASTERINAS008: Debian's busybox-static cannot be downloaded. Type: sudo apt-get update, and build again" >&2
        exit 1
    fi
fi
dpkg-deb -x busybox-static_*.deb unpacked || exit 1
mkdir -p "$folder"
cp unpacked/bin/busybox "$folder/busybox.new" 2>/dev/null || cp unpacked/usr/bin/busybox "$folder/busybox.new" || exit 1
mv "$folder/busybox.new" "$folder/busybox"
