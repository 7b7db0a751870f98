#!/usr/bin/env bash
# make-iso.sh KERNEL.elf OUT.iso [COMMAND LINE] [INITRAMFS]: a hybrid ISO with GRUB and Multiboot2 for BIOS and UEFI.
set -eu
kernel=$1 iso=$2 command_line=${3-} initramfs=${4-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree/boot/grub" "$(dirname "$iso")"
cp "$kernel" "$tree/boot/kernel.elf"
{
    echo 'set timeout=0'
    echo 'insmod all_video'
    echo 'set gfxpayload=keep'
    echo 'menuentry "Asterinas for .NET" {'
    echo "    multiboot2 /boot/kernel.elf $command_line"
    if [ -n "$initramfs" ]; then
        cp "$initramfs" "$tree/boot/initramfs"
        echo '    module2 /boot/initramfs'
    fi
    echo '    boot'
    echo '}'
} >"$tree/boot/grub/grub.cfg"
# The log lies beside the tree: xorriso fails when a file that it packs grows meanwhile.
grub-mkrescue -o "$iso.new" "$tree" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
mv "$iso.new" "$iso"
