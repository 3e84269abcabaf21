#!/bin/bash -e
# Carry the installer and the wheels in. script/wheels makes them beforehand: an emulated Pi is a slow place to build.

wheels=${HEARTH_WHEELS:-${STAGE_DIR}/wheels}
if [ ! -e "${wheels}/requirements.txt" ]; then
    echo "Hearth's wheels are missing: run script/wheels ${wheels}" >&2
    exit 1
fi
carried=${ROOTFS_DIR}/var/tmp/hearth
rm -rf "${carried}"
mkdir -p "${carried}/script" "${carried}/pi-gen-stage"
cp "${STAGE_DIR}/../script/install" "${carried}/script/"
cp -r "${STAGE_DIR}/00-daemons" "${STAGE_DIR}/01-hearth" "${carried}/pi-gen-stage/"
cp -r "${wheels}" "${carried}/wheels"
