#!/bin/bash -e
# Carry a step-ca in, which Debian has no package of. script/build-step-ca makes it beforehand, with GOARCH=arm64 for a Pi.

program=${HEARTH_STEP_CA:-${STAGE_DIR}/step-ca}
if [ ! -x "${program}" ]; then
    echo "step-ca is missing: run GOARCH=arm64 script/build-step-ca ${program}" >&2
    exit 1
fi
install -D -m 755 "${program}" "${ROOTFS_DIR}/usr/local/bin/step-ca"
