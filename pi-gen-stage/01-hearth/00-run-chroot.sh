# The installer that a self-hoster runs, and nothing beside it.
set -e
/var/tmp/hearth/script/install --wheels /var/tmp/hearth/wheels --step-ca /var/tmp/hearth/step-ca
rm -rf /var/tmp/hearth
