#!/usr/bin/env bash
# check-no-avx.sh FILE: fails when the code has an instruction that changes vector state beyond the 16 XMM registers. System calls save only those; VEX
# instructions on XMM registers clear the upper halves of the user's YMM registers (SDM vol. 1 §14.1.3).
set -eu -o pipefail
objdump -d --no-show-raw-insn "$1" | awk '
    /^[0-9a-f]+ <.*>:$/ { name = $2 }
    /^ *[0-9a-f]+:\t/ {
        count++
        if ($0 ~ /%[yz]mm[0-9]|%k[0-7]|\tv[a-z0-9]+ .*%xmm|\tvzero|\tv(ld|st)mxcsr/ && found++ < 5) { sub(/^ */, ""); print "error ASTERINAS006: AVX in " name " " $0 }
    }
    END {
        if (!count) print "error ASTERINAS006: no code to look at"
        exit !count || found
    }'
