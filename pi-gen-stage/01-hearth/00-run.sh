#!/bin/bash -e
# Carry the installer, the wheels and step-ca in. They are made beforehand: an emulated Pi is a slow place to build.

wheels=${HEARTH_WHEELS:-${STAGE_DIR}/wheels}
if [ ! -e "${wheels}/requirements.txt" ]; then
    echo "Hearth's wheels are missing: run script/wheels ${wheels}" >&2
    exit 1
fi
step_ca=${HEARTH_STEP_CA:-${STAGE_DIR}/step-ca}
if [ ! -x "${step_ca}" ]; then
    echo "step-ca is missing: run GOARCH=arm64 script/build-step-ca ${step_ca}" >&2
    exit 1
fi
carried=${ROOTFS_DIR}/var/tmp/hearth
rm -rf "${carried}"
mkdir -p "${carried}/script" "${carried}/pi-gen-stage"
cp "${STAGE_DIR}/../script/install" "${carried}/script/"
cp -r "${STAGE_DIR}/00-daemons" "${STAGE_DIR}/01-hearth" "${carried}/pi-gen-stage/"
cp -r "${wheels}" "${carried}/wheels"
cp "${step_ca}" "${carried}/step-ca"
